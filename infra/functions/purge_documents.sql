-- Everything that read models hold of a patient, whichever projections there are: the owner may act as the projector.
create function log.purge_documents(whose uuid) returns void language plpgsql set search_path = pg_catalog as $$
declare
    read_model regclass;
begin
    for read_model in
        select c.oid::regclass from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
          join pg_attribute a on a.attrelid = c.oid and a.attname = 'patient_id' and not a.attisdropped
         where n.nspname = 'read' and c.relkind in ('r', 'p')
    loop
        execute format('delete from %s where patient_id = $1', read_model) using whose;
    end loop;
end
$$;

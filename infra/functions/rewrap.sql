-- The same keys wrapped anew, wherever they are still wrapped as the caller believes; how many that were.
create function log.rewrap(ids uuid[], before bytea[], after bytea[]) returns bigint language sql security definer
set search_path = pg_catalog as $$
    with told as (select * from unnest(ids, before, after) as n(key_id, before, after)),
    patients as (
        update log.keys k set wrapped = t.after from told t where k.key_id = t.key_id and k.wrapped = t.before returning 1
    ),
    months as (
        update log.monthly_keys k set wrapped = t.after from told t
         where k.key_id = t.key_id and k.wrapped = t.before returning 1
    )
    select (select count(*) from patients) + (select count(*) from months)
$$;

grant execute on function log.rewrap to custodian;

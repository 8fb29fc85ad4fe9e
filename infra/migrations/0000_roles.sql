-- Run once by whoever may create roles and the database (in development our own launcher; elsewhere a DBA).
-- Roles have no passwords here: they are set beside this file's run, from secrets.
do $$
declare
    service text;
begin
    foreach service in array array['owner', 'writer', 'projector', 'reader', 'auditor'] loop
        if not exists (select from pg_roles where rolname = service) then
            execute format('create role %I login nosuperuser nocreatedb nocreaterole', service);
        end if;
    end loop;
end
$$;
-- The owner makes the projector's schema; the projector makes the tables in it.
grant projector to owner;

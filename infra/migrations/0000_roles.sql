-- Run once by whoever may create roles and the database: our own launcher in development, a DBA elsewhere.
-- Sets no passwords; they come from secrets.
do $$
declare
    service text;
begin
    foreach service in array array['owner', 'writer', 'projector', 'reader', 'auditor', 'custodian', 'sealer', 'shredder']
    loop
        if not exists (select from pg_roles where rolname = service) then
            execute format('create role %I login nosuperuser nocreatedb nocreaterole', service);
        end if;
    end loop;
end
$$;
-- The owner makes the projector's schema; the projector makes the tables in it.
grant projector to owner;
-- A writer that has stopped must not halt the others: what it holds is given back within seconds.
alter role writer set transaction_timeout = '30s';
alter role writer set lock_timeout = '10s';
alter role writer set idle_in_transaction_session_timeout = '10s';
alter role reader set statement_timeout = '15s';
-- So must a custodian who has stopped while holding what appends wait for.
alter role custodian set idle_in_transaction_session_timeout = '30s';
alter role shredder set idle_in_transaction_session_timeout = '30s';

-- A month's key is replaced when something that it sealed was destroyed: otherwise whoever has the key of today could
-- still read it in a backup of then (docs/decisions/0027-renew-the-keys-of-months.md). Runs as owner.

-- open: in use. due: something under it was destroyed, and it is to be replaced. replaced: another key of this month
-- takes its place, and the messages that are left under it are moved there.
alter table log.monthly_keys add column state text not null default 'open'
    check (state in ('open', 'due', 'replaced'));
alter table log.monthly_keys drop constraint monthly_keys_month_key;
create unique index monthly_keys_in_use on log.monthly_keys (month) where state <> 'replaced';

create table log.ended_month_keys (
    key_id uuid primary key,
    ended_at timestamptz not null default clock_timestamp()
);

-- A writer may hold such a key in memory: what comes under it could not be read, or not be destroyed.
create function log.refuse_ended_key() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    if exists (select from added a join log.ended_month_keys e using (key_id)) then
        raise exception 'the key of this month was replaced' using errcode = 'PCP02';
    end if;
    return null;
end
$$;
create trigger no_ended_key after insert on log.raw_messages referencing new table as added
    for each statement execute function log.refuse_ended_key();

grant select on log.ended_month_keys to writer, auditor, custodian;

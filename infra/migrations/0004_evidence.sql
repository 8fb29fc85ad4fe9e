-- What proves the log: whole tiles of the Merkle tree over its leaves (C2SP tlog-tiles), and the checkpoints that were
-- signed. `log` is events or accesses. Role sealer, new with this migration, comes from 0000_roles. Runs as owner.

-- Tile `place` of `level` holds the 256 nodes of tree level 8 * level from 256 * place on; `root` is their root, and so
-- a node of the tile above.
create table log.tiles (
    log text not null check (log in ('events', 'accesses')),
    level integer not null,
    place bigint not null,
    root bytea not null check (octet_length(root) = 32),
    hashes bytea not null check (octet_length(hashes) = 8192),
    primary key (log, level, place)
);
alter table log.tiles alter column hashes set storage external;

-- A copy of what is kept outside, for those who ask this database.
create table log.checkpoints (
    log text not null check (log in ('events', 'accesses')),
    origin text not null,
    size bigint not null,
    root bytea not null,
    note bytea not null,
    kept_at timestamptz not null default clock_timestamp(),
    primary key (log, origin, size)
);

-- `branch` ends the origins of a log that was opened anew after a restore or a failover took events away; `follows`
-- holds, by log, the last checkpoint of before.
alter table log.epoch add column branch text not null default '';
alter table log.epoch add column follows jsonb not null default '{}';

create trigger append_only before update or delete on log.tiles
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on log.tiles
    for each statement execute function log.refuse_change();
create trigger append_only before update or delete on log.checkpoints
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on log.checkpoints
    for each statement execute function log.refuse_change();

grant usage on schema log, access to sealer;
grant select (position, leaf_hash) on log.events to sealer;
grant select on log.epoch to sealer;
grant select, insert on log.tiles, log.checkpoints to sealer;
grant select on log.tiles, log.checkpoints to reader, auditor;

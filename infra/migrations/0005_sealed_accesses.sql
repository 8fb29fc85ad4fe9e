-- Accesses get their numbers and leaves some seconds after they happened, when no transaction can still add an older
-- one (log.seal_accesses). Runs as owner.

create table access.leaves (
    position bigint primary key,
    access_id bigint not null unique,
    leaf_hash bytea not null check (octet_length(leaf_hash) = 32)
);

-- All rows of transactions below `through` are sealed or will never be.
create table access.sealed (
    one boolean primary key default true check (one),
    through xid8 not null default '0'
);
insert into access.sealed default values;

-- Rows come in the order of their transactions, so that this grows at its right end.
create index reads_xid on access.reads (xid);

create trigger append_only before update or delete on access.leaves
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on access.leaves
    for each statement execute function log.refuse_change();

grant select (position, leaf_hash) on access.leaves to sealer;
grant select on access.leaves to reader, auditor;
grant select on access.sealed to auditor;

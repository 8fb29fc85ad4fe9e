-- Numbers and leaves for accesses whose transactions are all decided: those older than every running one. Each row is
-- sealed once, since the transactions between two calls' bounds are the same whoever looks; returns how many.
-- `everything` looks at all rows again: for a database whose transaction numbers began anew.
create function log.seal_accesses(everything boolean default false) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare
    sealed bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'sealing needs READ COMMITTED: an older snapshot would not see what others committed';
    end if;
    perform pg_advisory_xact_lock(7305550315);
    if everything then
        update access.sealed set through = '0';
    end if;
    -- One statement, one snapshot: the bound, the rows below it, and the bound kept for the next call.
    with bound as materialized (
        select s.through as low, pg_snapshot_xmin(pg_current_snapshot()) as high from access.sealed s
    ), ready as (
        select r as access, row_number() over (order by r.access_id) as place
          from bound b join access.reads r on (everything or (r.xid >= b.low and r.xid < b.high))
         where not exists (select from access.leaves l where l.access_id = r.access_id)
    ), head as (
        select coalesce(max(l.position), 0) as position from access.leaves l
    ), numbered as (
        insert into access.leaves (position, access_id, leaf_hash)
        select h.position + n.place, (n.access).access_id, log.access_leaf(h.position + n.place, n.access)
          from head h, ready n order by n.place
        returning 1
    ), moved as (
        update access.sealed s set through = b.high from bound b where b.high > s.through
    )
    select count(*) into sealed from numbered;
    return sealed;
end
$$;

grant execute on function log.seal_accesses to sealer;

-- Versions of each stream must follow on without a gap. A new stream begins with 1 (or 0, as the eventsourcing
-- library numbers). What stands already is refused by the primary key.
create function log.check_versions(stream_ids uuid[], versions integer[]) returns void
language plpgsql set search_path = pg_catalog as $$
begin
    if exists (
        select from (
            select n.stream_id, min(n.version) as low, max(n.version) as high, count(*) as many
              from unnest(stream_ids, versions) as n(stream_id, version) group by n.stream_id
        ) s
        where s.high - s.low + 1 <> s.many
           or s.low < 0
           or (s.low > 1
               and not exists (select from log.events e where e.stream_id = s.stream_id and e.version = s.low - 1))
    ) then
        raise exception 'versions of a stream leave a gap' using errcode = 'check_violation';
    end if;
end
$$;

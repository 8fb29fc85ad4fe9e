-- Versions of each stream must follow on without a gap. A new stream begins with 1 (or 0, as the eventsourcing
-- library numbers).
create function log.check_versions(stream_ids uuid[], versions integer[]) returns void
language plpgsql set search_path = pg_catalog as $$
begin
    if exists (
        select from (
            select n.stream_id, min(n.version) as low, max(n.version) as high, count(*) as many
              from unnest(stream_ids, versions) as n(stream_id, version) group by n.stream_id
        ) s
        left join lateral (
            select e.version from log.events e where e.stream_id = s.stream_id order by e.version desc limit 1
        ) last on true
        where s.high - s.low + 1 <> s.many
           or (last.version is null and s.low > 1)
           or s.low > last.version + 1
    ) then
        raise exception 'versions of a stream leave a gap' using errcode = 'check_violation';
    end if;
end
$$;

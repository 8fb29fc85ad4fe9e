-- The hashes of tiles: 32 bytes each, 256 where a tile is whole, and as many as there are where it is still growing.
-- Those of the lowest level are leaves; above, each is the root of a whole tile below.
create function log.tile_hashes(which text, levels integer[], places bigint[])
returns table (level integer, place bigint, hashes bytea) language sql stable set search_path = pg_catalog as $$
    select w.level, w.place, coalesce(t.hashes, case
        when w.level > 0 then (
            select string_agg(b.root, '' order by b.place) from log.tiles b
             where b.log = which and b.level = w.level - 1 and b.place between w.place * 256 and w.place * 256 + 255)
        when which = 'events' then (
            select string_agg(e.leaf_hash, '' order by e.position) from log.events e
             where e.position between w.place * 256 + 1 and w.place * 256 + 256)
        else (
            select string_agg(l.leaf_hash, '' order by l.position) from access.leaves l
             where l.position between w.place * 256 + 1 and w.place * 256 + 256)
        end, '')
      from unnest(levels, places) as w(level, place)
      left join log.tiles t on t.log = which and t.level = w.level and t.place = w.place
$$;

grant execute on function log.tile_hashes to sealer, reader, auditor;

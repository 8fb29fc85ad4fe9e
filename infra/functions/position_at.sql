-- The last position recorded at or before a moment; 0 when there is none. Times follow positions, so halving finds
-- it without an index on times, which every append would pay for.
create function log.position_at(moment timestamptz) returns bigint language plpgsql stable
set search_path = pg_catalog as $$
declare
    low bigint := 0;
    high bigint := coalesce((select max(position) from log.events), 0);
    middle bigint;
begin
    while low < high loop
        middle := (low + high + 1) / 2;
        if (select recorded_at from log.events where position = middle) <= moment then
            low := middle;
        else
            high := middle - 1;
        end if;
    end loop;
    return low;
end
$$;

grant execute on function log.position_at to reader, auditor, projector;

create function log.discard(which uuid, why text) returns boolean language sql security definer
set search_path = pg_catalog as $$
    update log.rejected set state = 'discarded', closed_at = clock_timestamp(), closing_reason = why
     where rejected_id = which and state = 'open' returning true
$$;

grant execute on function log.discard to writer;

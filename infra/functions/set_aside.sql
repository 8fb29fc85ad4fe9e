create function log.set_aside(rejections jsonb) returns void language sql set search_path = pg_catalog as $$
    insert into log.rejected as r (rejected_id, receipt_key, source, content_type, coordinates, reasons, owner, state)
    select n.rejected_id, decode(n.receipt_key, 'hex'), n.source, n.content_type, n.coordinates, n.reasons,
           coalesce(n.owner, 'integration'), coalesce(n.state, 'open')
      from jsonb_to_recordset(rejections) as n(rejected_id uuid, receipt_key text, source text, content_type text,
                                               coordinates text, reasons jsonb, owner text, state text)
    on conflict (receipt_key) do update set attempts = r.attempts + 1, owner = excluded.owner,
        reasons = case when excluded.state = 'open' then excluded.reasons else r.reasons end,
        state = excluded.state, closed_at = case when excluded.state = 'open' then null else clock_timestamp() end
$$;

-- The one way in. Answers, and writes nothing unless the answer is 'appended':
--   appended  base = position before the first new event; streams = those that others wrote after `seen`;
--             merged = whether others joined or parted records after `seen`
--   stale     streams = those that others wrote after `seen`, some of which this call has read
--   taken     an identifier that this call links belongs to another patient by now, or to one who was destroyed
--   known     keys = receipts that exist already
-- Raises PCP01 where an offset is not where the caller believes it is: another consumer has moved it.
-- `streams` is null when so much was written that the caller should forget everything it holds. `waited` is for the lock.
-- Nothing is stamped later than `not_after`, unless the log itself stands later; `ahead` is by how much the clock, or the
-- log, is beyond it (docs/decisions/0021-steady-time.md).
create function log.append(
    seen bigint, reads uuid[],
    stream_ids uuid[] default null, versions integer[] default null, patient_ids uuid[] default null,
    types text[] default null, occurred_ats timestamptz[] default null, precisions text default null,
    payloads bytea[] default null, key_ids uuid[] default null,
    new_key_ids uuid[] default null, new_key_patients uuid[] default null, new_keys bytea[] default null,
    digests bytea[] default null, digest_patients uuid[] default null,
    receipt_keys bytea[] default null, receipt_sources text[] default null, receipt_digests bytea[] default null,
    receipt_outcomes text[] default null, receipt_answers bytea[] default null, receipt_firsts integer[] default null,
    receipt_counts integer[] default null, receipt_replaces boolean[] default null,
    raw_keys bytea[] default null, raw_key_ids uuid[] default null, raw_sealed bytea[] default null,
    merges jsonb default null, rejections jsonb default null, offsets jsonb default null,
    not_after timestamptz default null,
    out answer text, out base bigint, out at timestamptz, out streams uuid[], out keys bytea[],
    out merged boolean, out waited interval, out ahead interval
) language plpgsql security definer set search_path = pg_catalog
-- Planned once, for arrays of any length, and by index: planning again costs a lone command more than running, and a scan
-- of all receipts costs more with every message.
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    asked_at constant timestamptz := clock_timestamp();
    last_at timestamptz;
    told_at timestamptz;
    moved integer;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'append needs READ COMMITTED: an older snapshot would not see what others committed';
    end if;
    perform pg_advisory_xact_lock(7305550312);

    select e.position, e.recorded_at into base, last_at from log.events e order by e.position desc limit 1;
    base := coalesce(base, 0);
    told_at := clock_timestamp();
    waited := told_at - asked_at;
    at := greatest(least(told_at, not_after), last_at);
    ahead := greatest(told_at, last_at) - not_after;

    if seen <> base then
        -- More than there is: the caller has seen a log that a restore or a failover took away.
        if base - seen between 0 and 20000 then
            select array_agg(distinct e.stream_id) into streams from log.events e where e.position > seen;
        end if;
        merged := exists (select from log.merges m where m.position > seen);
        if streams is null or streams && reads then
            answer := 'stale';
            return;
        end if;
    else
        streams := '{}';
        merged := false;
    end if;

    if receipt_keys is not null then
        select array_agg(n.key) into keys
          from unnest(receipt_keys, receipt_replaces) as n(key, replaces)
          cross join lateral (select from log.receipts r where r.key = n.key limit 1) as known
         where not n.replaces;
        if keys is not null then
            answer := 'known';
            return;
        end if;
    end if;

    if digests is not null and exists (
        select from unnest(digests, digest_patients) as n(digest, patient_id)
          left join log.identifiers i on i.digest = n.digest
          left join log.suppressed s on s.digest = n.digest
         where i.patient_id <> n.patient_id or s.digest is not null
    ) then
        answer := 'taken';
        return;
    end if;

    if offsets is not null then
        with told as (
            select * from jsonb_to_recordset(offsets)
                as o(cluster_id text, topic_id text, partition integer, expected bigint, next bigint)
        ), started as (
            insert into log.offsets (cluster_id, topic_id, partition, next_offset)
            select cluster_id, topic_id, partition, next from told where expected is null
            on conflict do nothing
            returning 1
        ), advanced as (
            update log.offsets o set next_offset = t.next from told t
             where o.cluster_id = t.cluster_id and o.topic_id = t.topic_id and o.partition = t.partition
               and o.next_offset in (t.expected, t.next) -- the latter: our own move, whose acknowledgement was lost
            returning 1
        )
        select (select count(*) from started) + (select count(*) from advanced) into moved;
        if moved <> jsonb_array_length(offsets) then
            raise exception 'another consumer has moved these offsets' using errcode = 'PCP01';
        end if;
    end if;

    if new_key_ids is not null then
        insert into log.keys (key_id, patient_id, wrapped)
        select * from unnest(new_key_ids, new_key_patients, new_keys);
    end if;

    if stream_ids is not null then
        with numbered as (
            select base + g.place as position, g.stream_id, g.version, g.patient_id,
                   case when g.patient_id is not null then coalesce(last.patient_seq, 0)
                        + row_number() over (partition by g.patient_id order by g.place) end::integer as patient_seq,
                   g.type, g.occurred_at, g.precision::"char" as precision, g.payload, g.key_id
              from unnest(stream_ids, versions, patient_ids, types, occurred_ats,
                          string_to_array(precisions, null), payloads, key_ids)
                with ordinality
                as g(stream_id, version, patient_id, type, occurred_at, precision, payload, key_id, place)
              left join lateral (
                select e.patient_seq from log.events e
                 where e.patient_id = g.patient_id order by e.patient_seq desc limit 1
              ) last on true
        )
        insert into log.events
        select n.position, at, n.stream_id, n.version, n.patient_id, n.patient_seq, n.type, n.occurred_at,
               n.precision, n.payload, n.key_id,
               log.leaf(n.position, at, n.stream_id, n.version, n.patient_id, n.patient_seq, n.type,
                        n.occurred_at, n.precision, n.payload, n.key_id)
          from numbered n;
        -- Versions follow on without a gap; a new stream begins with 1 (or 0, as the eventsourcing library numbers).
        -- What stands already is refused by the primary key.
        if exists (
            select from unnest(stream_ids, versions) as n(stream_id, version)
              left join lateral (
                select true as is_there from log.events e
                 where e.stream_id = n.stream_id and e.version = n.version - 1 limit 1
              ) before on true
             where n.version < 0 or (n.version > 1 and before.is_there is null)
        ) then
            raise exception 'versions of a stream leave a gap' using errcode = 'check_violation';
        end if;
    end if;

    if merges is not null then
        insert into log.merges (position, patient_id, into_id, joined)
        select base + n.place, n.patient_id, n.into_id, n.joined
          from jsonb_to_recordset(merges) as n(place integer, patient_id uuid, into_id uuid, joined boolean);
    end if;

    if digests is not null then
        insert into log.identifiers (digest, patient_id, position)
        select n.digest, n.patient_id, base from unnest(digests, digest_patients) as n(digest, patient_id)
        on conflict do nothing;
    end if;

    if receipt_keys is not null then
        if true = any(receipt_replaces) then -- a message taken up again is answered anew
            delete from log.receipts r using unnest(receipt_keys, receipt_replaces) as n(key, replaces)
             where n.replaces and r.key = n.key;
        end if;
        insert into log.receipts (key, source, digest, outcome, answer, first_position, last_position, position,
                                  received_at)
        select n.key, n.source, n.digest, n.outcome, n.answer,
               case when n.count > 0 then base + n.first end,
               case when n.count > 0 then base + n.first + n.count - 1 end,
               base + coalesce(array_length(stream_ids, 1), 0), at
          from unnest(receipt_keys, receipt_sources, receipt_digests, receipt_outcomes, receipt_answers,
                      receipt_firsts, receipt_counts)
            as n(key, source, digest, outcome, answer, first, count);
    end if;

    if raw_keys is not null and true = any(receipt_replaces) then
        perform log.keep_raw(receipt_keys, receipt_replaces, raw_keys, raw_key_ids, raw_sealed, at);
    elsif raw_keys is not null then
        insert into log.raw_messages (receipt_key, received_at, key_id, sealed)
        select n.key, at, n.key_id, n.sealed from unnest(raw_keys, raw_key_ids, raw_sealed) as n(key, key_id, sealed);
    end if;

    if rejections is not null then
        perform log.set_aside(rejections);
    end if;

    if stream_ids is not null then
        perform pg_notify('events', (base + array_length(stream_ids, 1))::text);
    end if;
    answer := 'appended';
end
$$;

grant execute on function log.append to writer;

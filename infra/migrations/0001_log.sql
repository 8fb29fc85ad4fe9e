-- The log: append-only, written by one function. Runs as owner.
-- Whoever is not named by a grant may not even call what we define.
alter default privileges revoke execute on functions from public;

create schema log;
create schema read authorization projector;
create schema access;

create table log.epoch (
    one boolean primary key default true check (one),
    epoch uuid not null default gen_random_uuid(),
    began_at timestamptz not null default clock_timestamp()
);
insert into log.epoch default values;

-- Clear: position, times, ids, type, key id. Everything else, author and reason included, is inside `payload`.
create table log.events (
    position bigint not null,
    recorded_at timestamptz not null,
    stream_id uuid not null,
    version integer not null,
    patient_id uuid,
    patient_seq integer,
    type text not null,
    occurred_at timestamptz not null,
    occurred_precision "char" not null,
    payload bytea not null,
    key_id uuid,
    leaf_hash bytea not null,
    primary key (stream_id, version),
    constraint events_position unique (position),
    constraint events_patient_seq unique (patient_id, patient_seq),
    check ((patient_id is null) = (patient_seq is null)),
    check (octet_length(leaf_hash) = 32)
);
-- Ciphertext does not compress; trying costs time under the lock.
alter table log.events alter column payload set storage external;

create table log.keys (
    key_id uuid primary key,
    patient_id uuid not null unique,
    wrapped bytea not null,
    created_at timestamptz not null default clock_timestamp()
);

create table log.identifiers (
    digest bytea primary key,
    patient_id uuid not null,
    position bigint not null
);

-- One row for every message and every command that was answered; kept.
create table log.receipts (
    key bytea primary key,
    source text not null,
    digest bytea not null,
    outcome text not null,
    answer bytea,
    first_position bigint,
    last_position bigint,
    position bigint not null,
    received_at timestamptz not null
);

-- Bytes as they came; large, and allowed to expire. `key_id` names the patient's key, or a row of `monthly_keys`.
create table log.raw_messages (
    receipt_key bytea not null,
    received_at timestamptz not null default clock_timestamp(),
    key_id uuid,
    sealed bytea not null
);
create index raw_messages_receipt on log.raw_messages (receipt_key);
alter table log.raw_messages alter column sealed set storage external;

create table log.monthly_keys (
    key_id uuid primary key,
    month date not null unique,
    wrapped bytea not null
);

create table log.rejected (
    rejected_id uuid primary key,
    receipt_key bytea not null unique,
    source text,
    content_type text,
    coordinates text not null,
    reasons jsonb not null,
    owner text not null default 'integration',
    state text not null default 'open' check (state in ('open', 'resolved', 'discarded')),
    attempts integer not null default 1,
    rejected_at timestamptz not null default clock_timestamp(),
    closed_at timestamptz,
    closing_reason text
);
create index rejected_open on log.rejected (rejected_at) where state = 'open';

create table log.offsets (
    cluster_id text not null,
    topic_id text not null,
    partition integer not null,
    next_offset bigint not null,
    primary key (cluster_id, topic_id, partition)
);

create table access.reads (
    access_id bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default clock_timestamp(),
    patient_id uuid,
    actor text not null,
    role text not null,
    organisation text,
    purpose text not null,
    outcome text not null,
    projection text,
    through_position bigint,
    answer_hash bytea,
    correlation_id text
);
create index reads_patient on access.reads (patient_id, access_id);

create table read.checkpoints (
    projection text primary key,
    position bigint not null,
    advanced_at timestamptz not null default clock_timestamp()
);
alter table read.checkpoints owner to projector;

create table read.parked (
    patient_id uuid primary key,
    since_position bigint not null,
    reason text not null,
    attempts integer not null default 1,
    parked_at timestamptz not null default clock_timestamp()
);
alter table read.parked owner to projector;

create function log.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % on %.% is refused', tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
create trigger append_only before update or delete on log.events
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on log.events
    for each statement execute function log.refuse_change();
create trigger append_only before update or delete on access.reads
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on access.reads
    for each statement execute function log.refuse_change();

-- RFC 6962 leaf over the canonical envelope of one event, layout 1 (docs/evidence.md). Big-endian throughout;
-- times are microseconds since 2000-01-01T00:00:00Z; what is absent is zero bytes.
create function log.leaf(
    place bigint, recorded timestamptz, stream uuid, version integer, patient uuid, seq integer,
    type text, occurred timestamptz, occurred_precision "char", payload bytea, key uuid
) returns bytea language sql immutable parallel safe as $$
    select sha256('\x0001'::bytea
        || int8send(place) || timestamptz_send(recorded) || uuid_send(stream) || int4send(version)
        || coalesce(uuid_send(patient), '\x00000000000000000000000000000000'::bytea)
        || int4send(coalesce(seq, 0))
        || int4send(octet_length(type)) || convert_to(type, 'UTF8')
        || timestamptz_send(occurred) || charsend(occurred_precision)
        || coalesce(uuid_send(key), '\x00000000000000000000000000000000'::bytea)
        || sha256(payload))
$$;

-- The one way in. Answers, and writes nothing unless the answer is 'appended':
--   appended  base = position before the first new event; streams = those that others wrote after `seen`
--   stale     streams = those that others wrote after `seen`, some of which this call has read
--   taken     an identifier that this call links belongs to another patient by now
--   known     keys = receipts that exist already
-- Raises PCP01 where an offset is not where the caller believes it is: another consumer has moved it.
-- `streams` is null when so much was written that the caller should forget everything it holds.
create function log.append(
    seen bigint, reads uuid[],
    stream_ids uuid[], versions integer[], patient_ids uuid[], types text[], occurred_ats timestamptz[],
    precisions text, payloads bytea[], key_ids uuid[],
    new_key_ids uuid[], new_key_patients uuid[], new_keys bytea[],
    digests bytea[], digest_patients uuid[],
    receipt_keys bytea[], receipt_sources text[], receipt_digests bytea[], receipt_outcomes text[],
    receipt_answers bytea[], receipt_firsts integer[], receipt_counts integer[], receipt_replaces boolean[],
    raw_keys bytea[], raw_key_ids uuid[], raw_sealed bytea[],
    rejections jsonb, offsets jsonb,
    out answer text, out base bigint, out at timestamptz, out streams uuid[], out keys bytea[]
) language plpgsql security definer set search_path = pg_catalog as $$
declare
    last_at timestamptz;
    moved integer;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'append needs READ COMMITTED: an older snapshot would not see what others committed';
    end if;
    perform pg_advisory_xact_lock(7305550312);

    select e.position, e.recorded_at into base, last_at from log.events e order by e.position desc limit 1;
    base := coalesce(base, 0);
    at := greatest(clock_timestamp(), last_at);

    if seen <> base then
        -- More than there is: the caller has seen a log that a restore or a failover took away.
        if base - seen between 0 and 20000 then
            select array_agg(distinct e.stream_id) into streams from log.events e where e.position > seen;
        end if;
        if streams is null or streams && reads then
            answer := 'stale';
            return;
        end if;
    else
        streams := '{}';
    end if;

    if receipt_keys is not null then
        select array_agg(r.key) into keys
          from unnest(receipt_keys, receipt_replaces) as n(key, replaces)
          join log.receipts r on r.key = n.key
         where not n.replaces;
        if keys is not null then
            answer := 'known';
            return;
        end if;
    end if;

    if digests is not null and exists (
        select from unnest(digests, digest_patients) as n(digest, patient_id)
          join log.identifiers i on i.digest = n.digest and i.patient_id <> n.patient_id
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
        perform log.check_versions(stream_ids, versions);
        with given as materialized (
            select * from unnest(stream_ids, versions, patient_ids, types, occurred_ats,
                                 string_to_array(precisions, null), payloads, key_ids)
                with ordinality
                as g(stream_id, version, patient_id, type, occurred_at, precision, payload, key_id, place)
        ), counted as materialized (
            select p.patient_id, coalesce(last.patient_seq, 0) as before
              from (select distinct g.patient_id from given g where g.patient_id is not null) p
              left join lateral (
                select e.patient_seq from log.events e
                 where e.patient_id = p.patient_id order by e.patient_seq desc limit 1
              ) last on true
        ), numbered as (
            select base + g.place as position, g.stream_id, g.version, g.patient_id,
                   (c.before + row_number() over (partition by g.patient_id order by g.place))::integer as patient_seq,
                   g.type, g.occurred_at, g.precision::"char" as precision, g.payload, g.key_id
              from given g left join counted c on c.patient_id = g.patient_id
        )
        insert into log.events
        select n.position, at, n.stream_id, n.version, n.patient_id, n.patient_seq, n.type, n.occurred_at,
               n.precision, n.payload, n.key_id,
               log.leaf(n.position, at, n.stream_id, n.version, n.patient_id, n.patient_seq, n.type,
                        n.occurred_at, n.precision, n.payload, n.key_id)
          from numbered n order by n.position;
    end if;

    if digests is not null then
        insert into log.identifiers (digest, patient_id, position)
        select n.digest, n.patient_id, base from unnest(digests, digest_patients) as n(digest, patient_id)
        on conflict do nothing;
    end if;

    if receipt_keys is not null then
        insert into log.receipts as r
        select n.key, n.source, n.digest, n.outcome, n.answer,
               case when n.count > 0 then base + n.first end,
               case when n.count > 0 then base + n.first + n.count - 1 end,
               base + coalesce(array_length(stream_ids, 1), 0), at
          from unnest(receipt_keys, receipt_sources, receipt_digests, receipt_outcomes, receipt_answers,
                      receipt_firsts, receipt_counts)
            as n(key, source, digest, outcome, answer, first, count)
        on conflict (key) do update set digest = excluded.digest, outcome = excluded.outcome, answer = excluded.answer,
            first_position = excluded.first_position, last_position = excluded.last_position,
            position = excluded.position, received_at = excluded.received_at;
    end if;

    if raw_keys is not null then
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

create function log.discard(which uuid, why text) returns boolean language sql security definer
set search_path = pg_catalog as $$
    update log.rejected set state = 'discarded', closed_at = clock_timestamp(), closing_reason = why
     where rejected_id = which and state = 'open' returning true
$$;

create function log.monthly_key(candidate uuid, this_month date, candidate_wrapped bytea)
returns log.monthly_keys language plpgsql security definer set search_path = pg_catalog as $$
declare
    found log.monthly_keys;
begin
    insert into log.monthly_keys values (candidate, this_month, candidate_wrapped) on conflict do nothing;
    select * into found from log.monthly_keys where month = this_month;
    return found;
end
$$;

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

grant usage on schema log to writer, projector, reader, auditor;
grant usage on schema read to reader, auditor;
grant usage on schema access to reader, auditor;

grant select on log.events, log.keys, log.identifiers, log.receipts, log.raw_messages, log.rejected, log.offsets,
    log.monthly_keys, log.epoch to writer;
grant execute on function log.append, log.discard, log.monthly_key to writer;
grant select on log.events, log.keys, log.epoch to projector;
grant select on log.events, log.keys, log.identifiers, log.epoch, log.rejected to reader;
grant select on all tables in schema log to auditor;
grant execute on function log.leaf to auditor;
grant execute on function log.position_at to reader, auditor, projector;
grant insert (patient_id, actor, role, organisation, purpose, outcome, projection, through_position, answer_hash,
    correlation_id) on access.reads to reader;
grant select on access.reads to reader, auditor;

alter default privileges for role projector in schema read grant select on tables to reader, auditor;
grant select on read.checkpoints, read.parked to reader, auditor;

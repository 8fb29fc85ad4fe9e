-- The record that stands for a patient as known at a position (null: now), itself where it is merged into none.
-- Where microseconds count, look first whether log.merges knows the patient at all.
create function log.person_of(patient uuid, at bigint default null) returns uuid
language sql stable set search_path = pg_catalog as $$
    with recursive up (patient_id, steps) as (
        select patient, 0
        union all
        select m.into_id, up.steps + 1
          from up
          cross join lateral (
            select into_id, joined from log.merges
             where patient_id = up.patient_id and (at is null or position <= at)
             order by position desc limit 1
          ) m
         where m.joined and up.steps < 100 -- a circle is refused where merges are decided
    )
    select patient_id from up order by steps desc limit 1
$$;

grant execute on function log.person_of to writer, projector, reader, auditor;

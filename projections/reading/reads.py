"""What API clients read: stored documents and histories, each with the note in the access log in one statement.

An answer is never sent before its access is durable, and a refusal is noted like a reading. Whether a patient is
somebody else's or nobody's is not to be told from the outside: both come back as `refused`.
"""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from domain.facts import Recorded
from domain.persons import Merge, Persons
from infra.keys import DataKey, KeyRing
from infra.payloads import COLUMNS, recorded_each
from projections.folds.care_team import CARE_TEAM
from projections.folds.folding import Document, Projection
from projections.folds.patient_index import PATIENT_INDEX, TO_BE_JOINED, searchable
from projections.past.moments import History
from projections.tables import documents

Pool = AsyncConnectionPool[AsyncConnection[Any]]


class Reader(NamedTuple):
    """Who reads. `any_patient` for roles that need no relationship (auditor); `patient_id` for patients themselves;
    others need `organisation` or `professional` among the patient's care team."""

    actor: str
    role: str
    organisation: str | None = None
    professional: str | None = None
    patient_id: UUID | None = None
    any_patient: bool = False
    purpose: str = "direct-care"
    correlation_id: str | None = None


class Standing(NamedTuple):
    """Positions that go with every answer: the document's own, the projection's, and the log's end; and for how many
    seconds the oldest event that the projection lacks has waited."""

    through: int
    checkpoint: int
    head: int
    held_back_since: int | None
    seconds_behind: float = 0.0


class Served(NamedTuple):
    """`json` is None where nothing is projected yet or the fold is held back. `person_id` is the record that
    stands for the patient asked about, another one where that is merged; `version` is that of the projection as it is
    served, which while a rebuild is due may be older than ours."""

    json: bytes | None
    standing: Standing
    person_id: UUID | None
    version: int

    @property
    def document(self) -> Document | None:
        return None if self.json is None else orjson.loads(self.json)


# Whether this reader may open this patient: themself, any (auditors), or a member of the care team. Merged records are
# answered by the one that stands for them, as of position {at}: that of the projection that is read, or null for now.
VERDICT = """
    asked as materialized (
        select case when exists (select from log.merges m where m.patient_id = %(patient)s::uuid)
                    then log.person_of(%(patient)s::uuid, {at}) else %(patient)s::uuid end as patient_id
    ),
    verdict as materialized (
        select q.patient_id,
               (exists (select from log.keys k where k.patient_id = q.patient_id)
                or %(any)s::boolean and exists (select from log.destructions d
                                                 where d.patient_id = q.patient_id and d.carried_out_at is not null))
               and (%(any)s::boolean or q.patient_id = %(own)s::uuid
                    or coalesce(t.clear->'organisations' ? %(organisation)s::text, false)
                    or coalesce(t.clear->'professionals' ? %(professional)s::text, false)) as allowed
          from asked q
          left join {team} t on t.patient_id = q.patient_id
    )"""
NOTED = """
    noted as (
        insert into access.reads (patient_id, actor, role, organisation, purpose, outcome, projection,
                                  through_position, answer_hash, correlation_id)
        select patient_id, %(actor)s::text, %(role)s::text, %(organisation)s::text, %(purpose)s::text,
               case when allowed then %(outcome)s::text else 'refused' end, %(projection)s::text, {through}, {answer},
               %(correlation)s::text
          from answer
        returning 1
    )"""
NOW = sql.SQL("null")
_CHECKPOINT = sql.SQL("(select position from read.serving where projection = %(projection)s::text)")
_DOCUMENT = sql.SQL(  # only constants of this module
    "with"  # noqa: S608
    + VERDICT
    + """,
    answer as (
        select v.patient_id, v.allowed, d.through_position, d.body, d.version, k.key_id, k.wrapped, p.since_position
          from verdict v
          left join {documents} d on v.allowed and d.patient_id = v.patient_id
          left join log.keys k on v.allowed and k.patient_id = v.patient_id
          left join read.parked p on v.allowed and p.patient_id = v.patient_id
    ),"""
    + NOTED
    + """
    select a.allowed, a.body, a.through_position, a.key_id, a.wrapped, a.since_position,
           s.position, (select coalesce(max(position), 0) from log.events), a.patient_id, a.version,
           (select extract(epoch from clock_timestamp() - recorded_at)::float8
              from log.events where position = s.position + 1)
      from answer a
      cross join noted
      left join read.serving s on s.projection = %(projection)s::text"""
)


@cache
def _document_of(view: str) -> bytes:
    """Put together once: composing a statement takes longer than most of what is done with its answer."""
    return _DOCUMENT.format(
        team=documents.table(CARE_TEAM), documents=sql.Identifier("read", view),
        through=sql.SQL("through_position"), answer=sql.SQL("sha256(body)"), at=_CHECKPOINT,
    ).as_bytes()  # fmt: skip


# Of nearly everyone the record asked about is the only one; of others, all that ever were one person with it. These
# are few, which a recursion does not let the planner see but an array does; and `offset 0` has each one's rows found by
# the index, never by reading the whole log.
_PAST = (
    sql.SQL(
        "with recursive"  # noqa: S608
        + VERDICT
        + ", answer as (select * from verdict),"
        + NOTED
        + """,
    kin (patient_id) as (
        select patient_id from answer where allowed
        union
        select case when m.patient_id = n.patient_id then m.into_id else m.patient_id end
          from kin n join log.merges m on n.patient_id in (m.patient_id, m.into_id)
    )
    select a.allowed, p.since_position, (select coalesce(max(position), 0) from log.events),
           (select jsonb_agg(jsonb_build_array(position, patient_id, into_id, joined) order by position)
              from log.merges where patient_id in (select patient_id from kin)), k.key_id, k.wrapped, e.*
      from answer a
      cross join noted
      left join read.parked p on a.allowed and p.patient_id = a.patient_id
      left join unnest(array(select patient_id from kin)) as n (patient_id) on true
      left join lateral (
        select key_id, wrapped from log.keys where patient_id = n.patient_id offset 0
      ) k on true
      left join lateral (
        select {columns} from log.events where patient_id = n.patient_id offset 0
      ) e on true
     order by e.position"""
    )
    .format(
        team=documents.table(CARE_TEAM),
        columns=sql.SQL(COLUMNS),
        through=sql.SQL("null::bigint"),
        answer=sql.SQL("null::bytea"),
        at=NOW,
    )
    .as_bytes()
)
_EVENT = 6


class Refused(Exception):
    """No such patient, or not this reader's: the two look alike."""


class HeldBack(Exception):
    """The fold of this person failed at position `since`: nothing of them is served until an operator has looked."""

    def __init__(self, since: int) -> None:
        super().__init__(f"held back since position {since}")
        self.since = since


class Reading:
    """Reads of one process through an async pool of role reader."""

    def __init__(self, pool: Pool, keys: KeyRing) -> None:
        self._pool = pool
        self._keys = keys

    async def document(self, projection: Projection, patient_id: UUID | None, reader: Reader) -> Served:
        """The stored document. Raises Refused, as it does where there is no patient to ask about."""
        rows = await self._rows(_document_of(projection.name), patient_id, reader, projection.name)
        allowed, body, through, key_id, wrapped, held_since, checkpoint, head, person_id, version, waited = rows[0]
        if not allowed or key_id is None:  # without a key there is no document either
            raise Refused
        standing = Standing(through or 0, checkpoint or 0, head, held_since, max(0.0, waited or 0.0))
        if body is None or held_since is not None:
            return Served(None, standing, person_id, projection.version)
        key = self._keys.unwrap(key_id, wrapped)
        served = projection._replace(version=version)
        return Served(documents.opened_json(served, person_id, key, body), standing, person_id, version)

    async def history(
        self, patient_id: UUID | None, reader: Reader, of: str, outcome: str = "read"
    ) -> tuple[list[Recorded], int]:
        """Everything recorded of the person of now, in order of recording, and the log's end; `of` names for the
        access log what is made of it. Raises Refused, HeldBack."""
        past = await self.past(patient_id, reader, of, outcome)
        return past.of_person(), past.head

    async def past(self, patient_id: UUID | None, reader: Reader, of: str, outcome: str = "read") -> History:
        """The same, with what was recorded of others while they were one with this person. Raises Refused, HeldBack."""
        rows = await self._rows(_PAST, patient_id, reader, of, outcome)
        allowed, held_since, head, merges = rows[0][:4]
        if patient_id is None or not allowed:
            raise Refused
        if held_since is not None:
            raise HeldBack(held_since)
        told = [row for row in rows if row[_EVENT] is not None]
        events = recorded_each([row[_EVENT:] for row in told], [self._key(*row[4:_EVENT]) for row in told])
        return History(patient_id, events, Persons(map(_merge, merges or ())), head)

    def _key(self, key_id: UUID | None, wrapped: bytes | None) -> DataKey | None:
        """None where it was destroyed."""
        return None if key_id is None or wrapped is None else self._keys.unwrap(key_id, wrapped)

    async def position_at(self, moment: datetime) -> int:
        """The last position recorded at or before a moment."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute("select log.position_at(%b)", [moment], binary=True)
            row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def by_identifier(self, digest: bytes) -> UUID | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "select log.person_of(patient_id) from log.identifiers where digest = %b", [digest], binary=True
            )
            row = await cursor.fetchone()
        return row[0] if row else None

    async def by_name(self, family: str, birth_date: str, reader: Reader, most: int = 20) -> list[UUID]:
        """Patients of this reader with this family name and date of birth; restricted ones never."""
        statement = sql.SQL(
            """select i.patient_id from {index} i left join {team} t on t.patient_id = i.patient_id
                where i.clear @> jsonb_build_object('terms', jsonb_build_array(%(term)s::text))
                  and (%(any)s::boolean or coalesce(t.clear->'organisations' ? %(organisation)s::text
                                        or t.clear->'professionals' ? %(professional)s::text, false))
                order by i.patient_id limit %(most)s"""
        ).format(index=documents.table(PATIENT_INDEX), team=documents.table(CARE_TEAM))
        term = documents.term(PATIENT_INDEX, self._keys.digest, searchable(family), birth_date)
        given = {**parameters(reader), "term": term, "most": most}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, given)
            return [row[0] for row in await cursor.fetchall()]

    async def to_be_joined(self, most: int) -> list[UUID]:
        """People of whom a source says that another record is theirs too, restricted ones among them. The caller reads
        each one's document, which is noted."""
        statement = sql.SQL(
            """select patient_id from {} where clear @> jsonb_build_object('terms', jsonb_build_array(%s::text))
                order by patient_id limit %s"""
        ).format(documents.table(PATIENT_INDEX))
        term = documents.term(PATIENT_INDEX, self._keys.digest, *TO_BE_JOINED)
        async with self._pool.connection() as connection:
            return [row[0] for row in await (await connection.execute(statement, [term, most])).fetchall()]

    async def _rows(
        self,
        statement: bytes,
        patient_id: UUID | None,
        reader: Reader,
        projection: str,
        outcome: str = "read",
    ) -> list[tuple[Any, ...]]:
        named = {"patient": patient_id, "projection": projection, "outcome": outcome}
        given = {**parameters(reader), **named}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, given, binary=True)
            return await cursor.fetchall()


def _merge(told: tuple[int, str, str, bool]) -> Merge:
    position, patient_id, into, joined = told
    return Merge(position, UUID(patient_id), UUID(into), joined)


def parameters(reader: Reader) -> dict[str, Any]:
    return {
        "actor": reader.actor, "role": reader.role, "organisation": reader.organisation,
        "professional": reader.professional, "own": reader.patient_id, "any": reader.any_patient,
        "purpose": reader.purpose, "correlation": reader.correlation_id,
    }  # fmt: skip

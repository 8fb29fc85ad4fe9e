"""Who may act for whom, who read what, and how far the read side has come: the small questions of the API.

Each question about a patient is answered together with its note in the access log, in one statement.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import sql

from domain.facts import Category
from infra.keys import KeyRing
from projections.folds.care_team import CARE_TEAM
from projections.folds.folding import NOT_RECORDED, Projection
from projections.folds.patient_index import PATIENT_INDEX
from projections.reading.reads import NOTED, NOW, VERDICT, HeldBack, Pool, Reader, Refused, parameters
from projections.tables import documents
from projections.tables.documents import opened
from projections.tables.generations import SIGNALS
from projections.tables.parking import PARKED, Parked


class Access(NamedTuple):
    """One row of the access log about one patient; `outcome` is read, command or refused."""

    access_id: int
    at: datetime
    actor: str
    role: str
    organisation: str | None
    purpose: str
    outcome: str
    projection: str | None


class Progress(NamedTuple):
    """How the read side stands.

    By projection: `checkpoints`, `seconds` that the oldest event it lacks has waited, and of tables that are being
    `built` the share of events that are folded. `parked`: how many people are held back. `halted`: the line has
    stopped. `signals`: how far other systems have been told, None where they never were.
    """

    checkpoints: dict[str, int]
    head: int
    parked: int
    seconds: dict[str, float]
    built: dict[str, float]
    halted: bool
    signals: int | None


_ALLOWED = sql.SQL(  # only constants of these modules
    "with"  # noqa: S608
    + VERDICT
    + ", answer as (select * from verdict),"
    + NOTED
    + """
    select a.allowed and (%(stream)s::uuid is null or exists (
        select from log.events e where e.stream_id = %(stream)s::uuid
                                   and (e.patient_id = a.patient_id or log.person_of(e.patient_id) = a.patient_id)
                                   and starts_with(e.type, %(category)s::text || '.')))
      from answer a, noted"""
)
_ACCESSES = sql.SQL(
    "with"  # noqa: S608
    + VERDICT
    + ", answer as (select * from verdict),"
    + NOTED
    + """
    select a.allowed, r.*
      from answer a
      cross join noted
      left join lateral (
        select access_id, at, actor, role, organisation, purpose, outcome, projection from access.reads
         where a.allowed and patient_id = a.patient_id and access_id < %(before)s::bigint
         order by access_id desc limit %(most)s::integer
      ) r on true
     order by r.access_id desc"""
)
# While another record was part of this one: from each merge to the parting that followed, if one did.
_WHILE_MERGED = sql.SQL(
    "with"  # noqa: S608
    + VERDICT
    + ", answer as (select * from verdict),"
    + NOTED
    + """,
    merged as (
        select began.recorded_at as since,
               (select parted.recorded_at from log.merges p join log.events parted on parted.position = p.position
                 where p.patient_id = m.patient_id and not p.joined and p.position > m.position
                 order by p.position limit 1) as until
          from answer a join log.merges m on m.into_id = a.patient_id and m.patient_id = %(retired)s::uuid and m.joined
          join log.events began on began.position = m.position
    )
    select a.allowed, r.access_id, r.at, r.actor, r.role, r.organisation, r.purpose, r.outcome, r.projection
      from answer a
      cross join noted
      left join access.reads r on a.allowed and r.patient_id = a.patient_id and exists (
        select from merged m where r.at >= m.since and (m.until is null or r.at < m.until))
     order by r.access_id"""
)
_NOTE = """insert into access.reads (actor, role, organisation, purpose, outcome, projection, correlation_id)
           values (%(actor)s, %(role)s, %(organisation)s, %(purpose)s, %(outcome)s, %(projection)s, %(correlation)s)"""
_CLAIMED = sql.SQL(
    """select i.person_id, k.key_id, k.wrapped, d.body, d.version, p.since_position
         from (select log.person_of(patient_id) as person_id from log.identifiers where digest = %b) i
         left join log.keys k on k.patient_id = i.person_id
         left join {} d on d.patient_id = i.person_id
         left join read.parked p on p.patient_id = i.person_id"""
).format(documents.table(PATIENT_INDEX))
_HEAD = "select coalesce(max(position), 0) from log.events"
_PROGRESS = """select s.projection, s.position,
                      greatest(0, extract(epoch from clock_timestamp() - waiting.recorded_at))::float8
                 from read.serving s left join log.events waiting on waiting.position = s.position + 1
                order by s.projection"""
_TOLD = f"select position from read.checkpoints where projection = '{SIGNALS}'"  # noqa: S608 a name of ours
_STATE = f"select ({_HEAD}), (select count(*) from read.parked), exists (select from read.halts), ({_TOLD})"  # noqa: S608
_BUILT = """select projection, folded::float8 / greatest(events, 1)::float8 from read.generations
             where state = 'building'"""
_REACHED = "select position from read.serving where projection = %s"


class Accesses:
    """Through an async pool of role reader."""

    def __init__(self, pool: Pool, keys: KeyRing) -> None:
        self._pool = pool
        self._keys = keys

    async def authorise(
        self, patient_id: UUID | None, reader: Reader, command: str, stream: tuple[UUID, Category] | None = None
    ) -> None:
        """Notes that this reader is about to do `command`, on this stream of the patient. Raises Refused, also where
        the patient has no such stream."""
        statement = _ALLOWED.format(through=sql.SQL("null::bigint"), answer=sql.SQL("null::bytea"), team=_TEAM, at=NOW)
        named = {"stream": stream[0] if stream else None, "category": stream[1].value if stream else None}
        rows = await self._rows(statement, _asked(patient_id, reader, command, "command") | named)
        if not rows[0][0]:
            raise Refused

    async def of(self, patient_id: UUID | None, reader: Reader, before: int, most: int) -> list[Access]:
        """Newest first, older than `before`. Raises Refused."""
        statement = _ACCESSES.format(through=sql.SQL("null::bigint"), answer=sql.SQL("null::bytea"), team=_TEAM, at=NOW)
        asked = _asked(patient_id, reader, "accesses", "read") | {"before": before, "most": most}
        rows = await self._rows(statement, asked)
        if not rows[0][0]:
            raise Refused
        return [Access(*row[1:]) for row in rows if row[1] is not None]

    async def while_merged(self, patient_id: UUID | None, retired: UUID, reader: Reader) -> list[Access]:
        """Oldest first, all that was done with this record while `retired` was part of it. Raises Refused."""
        statement = _WHILE_MERGED.format(
            through=sql.SQL("null::bigint"), answer=sql.SQL("null::bytea"), team=_TEAM, at=NOW
        )
        rows = await self._rows(statement, _asked(patient_id, reader, "accesses", "read") | {"retired": retired})
        if not rows[0][0]:
            raise Refused
        return [Access(*row[1:]) for row in rows if row[1] is not None]

    async def note(self, reader: Reader, what: str, outcome: str) -> None:
        """For what concerns no single patient, such as a search that found nobody."""
        given = {**parameters(reader), "projection": what, "outcome": outcome}
        async with self._pool.connection() as connection:
            await connection.execute(_NOTE, given)

    async def claimed(self, digest: bytes, birth_date: str) -> UUID | None:
        """The patient who has this identifier, if the date of birth that is recorded does not contradict.

        None too where it cannot be compared yet. Raises HeldBack.
        """
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_CLAIMED, [digest], binary=True)).fetchone()
        if row is None:
            return None
        patient_id, key_id, wrapped, body, version, held_since = row
        if held_since is not None:
            raise HeldBack(held_since)
        if body is None:
            return None
        index = opened(PATIENT_INDEX._replace(version=version), patient_id, self._keys.unwrap(key_id, wrapped), body)
        known = index["birth_date"]["value"]
        agrees = known == NOT_RECORDED or birth_date.startswith(known) or known.startswith(birth_date)
        return patient_id if agrees else None

    async def progress(self) -> Progress:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_PROGRESS)).fetchall()
            built = await (await connection.execute(_BUILT)).fetchall()
            state = await (await connection.execute(_STATE)).fetchone()
        head, parked, halted, signals = state or (0, 0, False, None)
        checkpoints = {name: position for name, position, _ in rows}
        seconds = {name: waited or 0.0 for name, _, waited in rows}
        return Progress(checkpoints, head, parked, seconds, dict(built), halted, signals)

    async def parked(self) -> list[Parked]:
        async with self._pool.connection() as connection:
            return [Parked(*row) for row in await (await connection.execute(PARKED)).fetchall()]

    async def reached(self, projection: Projection | None) -> int:
        """How far this projection has come; None asks for the log's end."""
        async with self._pool.connection() as connection:
            if projection is None:
                row = await (await connection.execute(_HEAD)).fetchone()
            else:
                row = await (await connection.execute(_REACHED, [projection.name])).fetchone()
        return int(row[0]) if row else 0

    async def _rows(self, statement: sql.Composed, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(statement, given, binary=True)).fetchall()


_TEAM = documents.table(CARE_TEAM)


def _asked(patient_id: UUID | None, reader: Reader, what: str, outcome: str) -> dict[str, Any]:
    return {**parameters(reader), "patient": patient_id, "projection": what, "outcome": outcome}

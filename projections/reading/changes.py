"""Which patients a reader may know to have changed, by position."""

from typing import NamedTuple
from uuid import UUID

from psycopg import sql

from projections.catalogue import STORED
from projections.folds.care_team import CARE_TEAM
from projections.reading.reads import Pool, Reader, parameters
from projections.tables import documents

_MOST = 500
_SHOWN = "select coalesce(min(position), 0) from read.serving where projection = any(%s)"
_SINCE = sql.SQL(
    """select e.position, p.person_id
         from log.events e
         cross join lateral (
            select case when exists (select from log.merges m where m.patient_id = e.patient_id)
                        then log.person_of(e.patient_id, e.position) else e.patient_id end as person_id
         ) p
         left join {team} t on t.patient_id = p.person_id
        where e.position > %(after)s and e.position <= %(through)s and e.patient_id is not null
          and (%(any)s::boolean or coalesce(t.clear->'organisations' ? %(organisation)s::text
                                or t.clear->'professionals' ? %(professional)s::text, false))
        order by e.position"""
).format(team=documents.table(CARE_TEAM))


class Change(NamedTuple):
    position: int
    patient_id: UUID


class Changes:
    """Through an async pool of role reader."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def shown(self) -> int:
        """The last position that everything served holds."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SHOWN, [[each.name for each in STORED]])).fetchone()
        return int(row[0]) if row else 0

    async def since(self, position: int, reader: Reader) -> tuple[list[Change], int]:
        """Some of what came after a position, and where to go on."""
        through = max(position, min(position + _MOST, await self.shown()))
        if through == position:
            return [], position
        given = {**parameters(reader), "after": position, "through": through}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SINCE, given)).fetchall()
        return [Change(*row) for row in rows], through

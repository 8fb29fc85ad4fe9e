"""Whether a new table says of everyone what the one that is served says, as of positions at which both stand."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from infra.keys import KeyRing, KeyUnusable
from projections.folds.folding import Projection
from projections.tables import documents
from projections.tables.generations import identifier

Connection = psycopg.Connection[Any]
_AT_ONCE = 50
# People whose last event is past either checkpoint are not compared: one of the tables may not hold it yet.
_STANDING = """select coalesce(o.patient_id, n.patient_id),
                      case when n.patient_id is null then 'missing' when o.patient_id is null then 'surplus'
                           else 'of another position' end
                 from {old} o full join {new} n using (patient_id)
                where o.through_position is distinct from n.through_position
                  and greatest(o.through_position, n.through_position) <=
                      (select min(position) from read.checkpoints where projection in ({old_name}, {new_name}))
                  and coalesce(o.patient_id, n.patient_id) not in (select patient_id from read.parked)"""
_BODIES = """select n.patient_id, o.body, n.body, k.key_id, k.wrapped
               from {old} o join {new} n using (patient_id, through_position)
               join log.keys k using (patient_id)
              order by hashtextextended(n.patient_id::text, {salt}) limit {most}"""


class Difference(NamedTuple):
    """`how`: missing, surplus, of another position, other (its content), or unreadable."""

    person: UUID
    how: str


def differences(
    connection: Connection, keys: KeyRing, projection: Projection, old: str, new: str, most: int | None, salt: int
) -> Iterator[Difference]:
    """All people by their positions, and, `most` being above 0 (None: all), the content of so many documents: asked
    for where both tables are of one version. In the caller's transaction, which must be a snapshot."""
    names = {"old": identifier(old), "new": identifier(new)}
    standing = sql.SQL(_STANDING).format(**names, old_name=old, new_name=new)
    yield from (Difference(*row) for row in connection.execute(standing).fetchall())
    if most == 0:
        return
    bodies = sql.SQL(_BODIES).format(**names, salt=salt, most=most)
    with connection.cursor("bodies", row_factory=psycopg.rows.tuple_row) as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(bodies, binary=True)
        for person, before, after, key_id, wrapped in cursor:
            how = _compared(keys, projection, (person, key_id, wrapped), before, after)
            if how is not None:
                yield Difference(person, how)


def _compared(
    keys: KeyRing, projection: Projection, whose: tuple[UUID, UUID, bytes], before: bytes, after: bytes
) -> str | None:
    person, key_id, wrapped = whose
    try:
        key = keys.unwrap(key_id, wrapped)
        was, became = (documents.opened(projection, person, key, body) for body in (before, after))
    except KeyUnusable:
        return "unreadable"
    return None if was == became else "other"

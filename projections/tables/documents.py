"""Sealed documents, one for each person and projection, and how they are written.

Read models are rebuilt, never migrated: another version is another table (`projections/generations.py`).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import orjson
import psycopg
from psycopg import sql

from domain.facts import Recorded
from infra.keys import DataKey
from projections.folds.folding import Document, Projection, fold_each

# Sixteen bytes of an HMAC over parts of text.
Digest: TypeAlias = Callable[..., bytes]


class Stored(NamedTuple):
    """A document as it goes into its table: `through` is the position up to which the person's history is in it.
    An empty `body` stands for the one that is stored already, which still says the same."""

    patient_id: UUID
    through: int
    key_id: UUID
    body: bytes
    clear: bytes


class Missing(Exception):
    """A document that was stored before is no longer there."""


def table(projection: Projection) -> sql.Identifier:
    """What readers see of a projection: the documents of whichever table is served."""
    return sql.Identifier("read", projection.name)


def sealed(
    projection: Projection, patient_id: UUID, through: int, key: DataKey, document: Document, digest: Digest
) -> Stored:
    """`digest` is that of the key ring."""
    body = key.seal(orjson.dumps(document), _place(projection, patient_id))
    clear = projection.clear(document)
    terms = [term(projection, digest, *each) for each in projection.looked_up_by(document)]
    return Stored(patient_id, through, key.key_id, body, orjson.dumps(clear | {"terms": terms} if terms else clear))


def term(projection: Projection, digest: Digest, *said: str) -> str:
    """As which something that a person is found by stands in the `terms` of the clear columns."""
    return digest("term", projection.name, *said).hex()


def still(patient_id: UUID, through: int, key: DataKey) -> Stored:
    """The stored document says the same as of a later position."""
    return Stored(patient_id, through, key.key_id, b"", b"")


class Person(NamedTuple):
    """Whose documents are to be made: the key to seal them under, and all events in any order."""

    person: UUID
    key: DataKey
    events: Sequence[Recorded]


def refolded(
    projections: Iterable[Projection], person: UUID, key: DataKey, events: Sequence[Recorded], digest: Digest
) -> dict[str, Stored]:
    """A person's documents by projection, sealed."""
    return refolded_each(projections, [Person(person, key, events)], digest)[0]


def refolded_each(
    projections: Iterable[Projection], people: Sequence[Person], digest: Digest
) -> list[dict[str, Stored]]:
    """The same of each of some people, who are folded together."""
    chosen = tuple(projections)
    folded = fold_each(chosen, [each.events for each in people])
    made: list[dict[str, Stored]] = []
    for (person, key, events), documents in zip(people, folded, strict=True):
        last = max(event.position for event in events)
        made.append({each.name: sealed(each, person, last, key, documents[each.name], digest) for each in chosen})
    return made


def opened(projection: Projection, patient_id: UUID, key: DataKey, body: bytes) -> Document:
    """Raises KeyUnusable where the key or the place is wrong, the version of the projection being part of it."""
    document: Document = orjson.loads(opened_json(projection, patient_id, key, body))
    return document


def opened_json(projection: Projection, patient_id: UUID, key: DataKey, body: bytes) -> bytes:
    """The same as it was written, for whoever passes it on. Raises as `opened` does."""
    return key.open(body, _place(projection, patient_id))


def delete(connection: "psycopg.Connection[Any]", name: str, persons: Collection[UUID]) -> None:
    """For records that no longer stand for themselves."""
    if persons:
        statement = sql.SQL("delete from {} where patient_id = any(%b)").format(sql.Identifier("read", name))
        connection.execute(statement, [list(persons)])


def upsert(connection: "psycopg.Connection[Any]", name: str, documents: Sequence[Stored]) -> None:
    """Into the table of this name. Raises Missing."""
    _write(connection, name, [each for each in documents if each.body])
    _move(connection, name, [each for each in documents if not each.body])


def _move(connection: "psycopg.Connection[Any]", name: str, documents: Sequence[Stored]) -> None:
    if not documents:
        return
    patients, positions = [each.patient_id for each in documents], [each.through for each in documents]
    moved = connection.execute(
        sql.SQL(
            """update {} d set through_position = n.through
                 from unnest(%b::uuid[], %b::bigint[]) as n(patient_id, through)
                where d.patient_id = n.patient_id"""
        ).format(sql.Identifier("read", name)),
        [patients, positions],
    )
    if moved.rowcount != len(documents):
        raise Missing(name)


def _write(connection: "psycopg.Connection[Any]", name: str, documents: Sequence[Stored]) -> None:
    if not documents:
        return
    columns = [list(column) for column in zip(*documents, strict=True)]
    connection.execute(
        sql.SQL(
            """insert into {} (patient_id, through_position, key_id, body, clear)
               select patient_id, through, key_id, body, convert_from(clear, 'UTF8')::jsonb
                 from unnest(%b::uuid[], %b::bigint[], %b::uuid[], %b::bytea[], %b::bytea[])
                   as n(patient_id, through, key_id, body, clear)
               on conflict (patient_id) do update set through_position = excluded.through_position,
                   key_id = excluded.key_id, body = excluded.body, clear = excluded.clear"""
        ).format(sql.Identifier("read", name)),
        columns,
    )


def _place(projection: Projection, patient_id: UUID) -> bytes:
    return patient_id.bytes + f"{projection.name}_v{projection.version}".encode()

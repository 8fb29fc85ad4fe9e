"""What proofs of one record are made from, read in a few statements: nodes of the log's tree, and groups of heads."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg

from infra.evidence.heads import GROUP, HeadProofs, Index, needed
from infra.evidence.merkle import HASH_BYTES, Node, Reader, consistency_proof, inclusion_proof
from infra.evidence.tiles import Tiles, hashes_of, tiles_of

Connection = psycopg.Connection[Any]
_INDEX = "select index from log.heads_index"
_GROUPS = """select f.number, uuid_send(h.patient_id) || int4send(h.events) || h.root
               from unnest(%b::int4[], %b::uuid[]) as f(number, first)
              cross join lateral (
                select * from log.patient_heads where patient_id >= f.first order by patient_id limit %b
              ) h
              order by h.patient_id"""


def nodes_of_log(tiles: Tiles, numbers: Sequence[int], size: int, older: int | None = None) -> Reader:
    """Reads all that inclusion proofs of these leaves in the first `size`, and a consistency proof from `older`, ask
    for. Each node is hashed once: most proofs share their upper ones."""
    wanted = list(dict.fromkeys(_asked_for(numbers, size, older)))
    held = dict(zip(wanted, hashes_of(wanted, tiles.hashes(tiles_of(wanted))), strict=True))
    return lambda nodes: [held[each] for each in nodes]


def proofs_of_heads(connection: Connection, patient_ids: Iterable[UUID]) -> HeadProofs:
    """Of the newest heads. To be read in the transaction in which it was found which those are."""
    row = connection.execute(_INDEX, binary=True).fetchone()
    index = Index.from_bytes(row[0] if row else bytes(8))
    numbers = sorted(needed(index, patient_ids))
    firsts = [UUID(bytes=index.firsts[each]) for each in numbers]
    groups: dict[int, list[bytes]] = {each: [] for each in numbers}
    for number, entry in connection.execute(_GROUPS, [numbers, firsts, GROUP], binary=True):
        groups[number].append(entry)
    return HeadProofs(index, groups)


def _asked_for(numbers: Sequence[int], size: int, older: int | None) -> list[Node]:
    asked: list[Node] = []
    read = _remembering(asked)
    for each in numbers:
        inclusion_proof(each, size, read)
    if older is not None:
        consistency_proof(older, size, read)
    return asked


def _remembering(asked: list[Node]) -> Callable[[Sequence[Node]], list[bytes]]:
    def read(nodes: Sequence[Node]) -> list[bytes]:
        asked.extend(nodes)
        return [bytes(HASH_BYTES)] * len(nodes)

    return read

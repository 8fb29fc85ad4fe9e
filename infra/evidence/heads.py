"""The heads: of each patient how many events there are and the root over their leaves, all in one signed tree.

Positions and sequences show that no event in the middle is missing; neither shows that the end or a whole stream is
not. The heads do: they are signed together with the size of the log that they are of (docs/evidence.md).

An entry is patient id (16 bytes), number of events (4, big-endian), RFC 6962 root over their leaves in the order of the
patient's sequence (32). Entries are sorted, so by patient id, and are the leaves of an RFC 6962 tree.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from infra.evidence.checkpoints import Checkpoint, parse_checkpoint
from infra.evidence.merkle import HASH_BYTES, Node, Peaks, Tree, inclusion_proof, leaf_hash, root, root_of_whole
from infra.evidence.notes import NoteRefused, Signer, Verifier, open_note

ID_BYTES = 16
# Subtrees of this height are kept as one hash each; what is below is hashed anew for the few that a proof needs.
GROUP_LEVEL = 8
GROUP = 1 << GROUP_LEVEL


class Head(NamedTuple):
    """`root` is over the leaves of all `events` of the patient."""

    patient_id: UUID
    events: int
    root: bytes

    def entry(self) -> bytes:
        return self.patient_id.bytes + self.events.to_bytes(4, "big") + self.root


class SignedHeads(NamedTuple):
    """The tree of heads of a log that had `log_size` events; `exports` is the key that signs exports of this log."""

    tree: Checkpoint
    log_size: int
    exports: Verifier


def heads_signer(log: Signer) -> Signer:
    """The log's own key under the name of the heads, so that neither note can pass for the other."""
    return Signer(f"{log.name}/heads", log.private)


def heads_verifier(log: Verifier) -> Verifier:
    return Verifier(f"{log.name}/heads", log.public)


def exports_name(log: Verifier) -> str:
    """Name of the key that signs exports: another key, since whoever makes exports must not sign for the log."""
    return f"{log.name}/exports"


def sign_heads(log: Signer, entries: int, heads_root: bytes, log_size: int, exports: Verifier) -> bytes:
    """A note in the form of a checkpoint with two lines more. Unlike a log, a tree of heads does not only grow."""
    signer = heads_signer(log)
    tree = Checkpoint(signer.name, entries, heads_root)
    return signer.sign(f"{tree.text()}log {log_size}\nexports {exports}\n")


def open_heads(note: bytes, log: Verifier) -> SignedHeads:
    """Raises NoteRefused."""
    text = open_note(note, [heads_verifier(log)]).text
    tree = parse_checkpoint(text)
    further = [line.partition(" ") for line in text.split("\n")[3:-1]]
    if tree.origin != f"{log.name}/heads" or [name for name, _, _ in further] != ["log", "exports"]:
        raise NoteRefused("heads are origin, size, root, then the size of the log and the key that signs exports")
    size, key = (value for _, _, value in further)
    if not size.isdecimal():
        raise NoteRefused("the size of the log is not a number")
    return SignedHeads(tree, int(size), Verifier.parse(key))


def heads_of(leaves: Iterable[tuple[bytes, bytes]]) -> Iterator[Head]:
    """From (patient id, leaf hash) in the order of patients and their sequences; holds one patient at a time."""
    for patient_id, rows in groupby(leaves, key=itemgetter(0)):
        hashes = [leaf for _, leaf in rows]
        yield Head(UUID(bytes=patient_id), len(hashes), root(hashes))


class Index(NamedTuple):
    """What is kept of a tree of `size` heads: for each group of 256 entries in turn its first patient, and the root of
    each whole group. 48 bytes a group, so 75 kB for 400,000 patients."""

    size: int
    firsts: tuple[bytes, ...]
    roots: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        return self.size.to_bytes(8, "big") + b"".join(self.firsts) + b"".join(self.roots)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Index":
        size = int.from_bytes(stored[:8], "big")
        groups = -(-size // GROUP)
        middle = 8 + groups * ID_BYTES
        firsts = (stored[at : at + ID_BYTES] for at in range(8, middle, ID_BYTES))
        roots = (stored[at : at + HASH_BYTES] for at in range(middle, len(stored), HASH_BYTES))
        return cls(size, tuple(firsts), tuple(roots))

    def group_of(self, patient_id: UUID) -> int | None:
        """In which group the patient is, if the tree has them at all."""
        wanted = patient_id.bytes
        before = sum(first <= wanted for first in self.firsts)
        return before - 1 if before else None


def indexed(entries: Iterable[bytes]) -> tuple[Index, bytes]:
    """The index and the root of the tree over sorted entries; holds one group at a time."""
    size = 0
    firsts: list[bytes] = []
    roots: list[bytes] = []
    last: list[bytes] = []
    for group in _grouped(entries):
        firsts.append(group[0][:ID_BYTES])
        size += len(group)
        if len(group) == GROUP:
            roots.append(root_of_whole(b"".join([leaf_hash(each) for each in group])))
        else:
            last = group
    return Index(size, tuple(firsts), tuple(roots)), root_over(roots, [leaf_hash(each) for each in last])


def root_over(groups: Sequence[bytes], rest: Sequence[bytes]) -> bytes:
    """From the roots of the whole groups, and the leaf hashes of the entries after them, fewer than a group."""
    peaks = Peaks().extend(groups).hashes + Peaks().extend(rest).hashes
    return Peaks(len(groups) * GROUP + len(rest), peaks).root()


class HeadProofs:
    """Proves entries of one tree. `groups` holds the entries of each group that is asked about, and of the last one if
    it is not whole: what `needed` names."""

    def __init__(self, index: Index, groups: Mapping[int, Sequence[bytes]]) -> None:
        self._index = index
        self._groups = groups
        self._upper = Tree(index.roots)
        self._lower = {number: Tree(leaf_hash(each) for each in group) for number, group in groups.items()}

    def proof(self, head: Head) -> tuple[int, list[bytes]]:
        """Place in the tree, and the hashes of the inclusion proof. Raises ValueError where it is not in the tree."""
        group = self._index.group_of(head.patient_id)
        if group is None:
            raise ValueError("the heads do not have this patient")
        place = group * GROUP + self._groups[group].index(head.entry())
        return place, inclusion_proof(place, self._index.size, self._read)

    def _read(self, nodes: Sequence[Node]) -> list[bytes]:
        return [self._node(each) for each in nodes]

    def _node(self, wanted: Node) -> bytes:
        if wanted.level >= GROUP_LEVEL:
            return self._upper.read([Node(wanted.level - GROUP_LEVEL, wanted.place)])[0]
        group, within = divmod(wanted.place, GROUP >> wanted.level)
        return self._lower[group].read([Node(wanted.level, within)])[0]


def needed(index: Index, patient_ids: Iterable[UUID]) -> set[int]:
    """Which groups proofs for these patients need."""
    groups = {group for each in patient_ids if (group := index.group_of(each)) is not None}
    return groups | ({len(index.roots)} if index.size % GROUP else set())


def _grouped(entries: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(entries)
    while group := list(islice(left, GROUP)):
        yield group

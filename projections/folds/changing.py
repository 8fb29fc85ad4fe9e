"""What each event of a history changed in all documents: found part by part, and told event by event.

A replay has all events before it begins. So each part goes through the events that touch it, one after the other, and
what it says is compared with what it said before; whole documents are never put together nor compared. To go through
all parts with each event instead takes half as long again, since a processor then has the code of none at hand.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from domain.facts import Recorded
from projections.folds.differences import Change, collect_from_members
from projections.folds.folding import Document, Part, Projection, nothing, nothing_of
from projections.folds.unfolding import Arrival, Arriving, Strand, heeding

# Of each strand, by the numbers of its projection and of its part, the numbers of the events that touch it.
_Touched: TypeAlias = Mapping[tuple[int, int], list[int]]


def changes(projections: Sequence[Projection], recorded: Iterable[Recorded]) -> list[list[Change]]:
    """What each event changed in all documents; `recorded` is everything of one person in order of recording."""
    arriving = Arriving()
    arrivals = [arriving.add(event) for event in recorded]
    touched = _touched(tuple(projections), arrivals)
    found: list[list[Change]] = [[] for _ in arrivals]
    for place, projection in enumerate(projections if arrivals else ()):
        strands = [(part, touched.get((place, number), ())) for number, part in enumerate(projection.parts)]
        for number, changed in _told(projection, strands, arrivals).items():
            found[number] += changed
    return found


def _touched(projections: tuple[Projection, ...], arrivals: Sequence[Arrival]) -> _Touched:
    """Whatever may have changed what stood before touches every strand of what stands."""
    heeded = heeding(projections)
    standing = {
        (place, number)
        for place, projection in enumerate(projections)
        for number, _ in enumerate(projection.parts)
        if projection.input == "effective"
    }
    touched: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, arrival in enumerate(arrivals):
        strands = heeded[type(arrival.entry.fact)]
        for strand in strands if arrival.anew is None else standing.union(strands):
            touched[strand].append(number)
    return touched


def _told(
    projection: Projection, strands: Iterable[tuple[Part, Iterable[int]]], arrivals: Sequence[Arrival]
) -> Mapping[int, list[Change]]:
    """By the number of the event; the first makes the document out of nothing."""
    pointer = f"/{projection.name}"
    found: dict[int, list[Change]] = defaultdict(list)
    first, moved = nothing_of(projection), defaultdict[int, Document](dict)
    for part, numbers in strands:
        before = nothing(part)
        for number, members in _versions(Strand(part, projection.input == "effective"), numbers, arrivals):
            if number == 0:
                first |= members
            else:
                if projection.shows_parts:
                    collect_from_members(pointer, before, members, found[number])
                if projection.says_more:
                    moved[number] |= members
            before = members
    found[0] = [{"pointer": pointer, "before": None, "after": projection.document(first)}]
    beside = projection.beside(first)
    for number in sorted(moved):
        first |= moved[number]
        now = projection.beside(first)
        collect_from_members(pointer, beside, now, found[number])
        beside = now
    return found


def _versions(strand: Strand, numbers: Iterable[int], arrivals: Sequence[Arrival]) -> Iterator[tuple[int, Document]]:
    """What a part says after each of these events that may have changed it."""
    for number in numbers:
        if strand.take(arrivals[number]):
            yield number, strand.members()

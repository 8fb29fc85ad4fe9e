"""The events of one stream as the log gives them: opened one by one, and only as far as somebody asks."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from domain.facts import Recorded, fingerprint
from infra.keys import DataKey
from infra.payloads import occurred, plain, recorded

_POSITION, _VERSION, _PATIENT, _STORED = 0, 3, 4, 6


class Sealed:
    """An Unread of the domain. `rows` have the columns of infra.payloads.COLUMNS and are of one patient; at least
    one, oldest first."""

    __slots__ = ("_key", "_rows")

    def __init__(self, rows: Sequence[tuple[Any, ...]], key: DataKey) -> None:
        self._rows = rows
        self._key = key

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def owner(self) -> UUID:
        owner: UUID = self._rows[0][_PATIENT]
        return owner

    @property
    def version(self) -> int:
        return int(self._rows[-1][_VERSION])

    @property
    def last_position(self) -> int:
        return int(self._rows[-1][_POSITION])

    def names(self) -> list[str]:
        return [row[_STORED] for row in self._rows]

    def fingerprints(self) -> set[bytes]:
        """Of the facts as they were stored. Raises KeyUnusable."""
        key = self._key
        return {fingerprint(row[_STORED], occurred(row[7], row[8]), plain(row, key)[0]) for row in self._rows}

    def read(self, names: Collection[str] | None = None) -> list[Recorded]:
        """All, or those under these names. Raises KeyUnusable, UnknownFact, or pydantic's ValidationError."""
        return [recorded(row, self._key) for row in self._rows if names is None or row[_STORED] in names]

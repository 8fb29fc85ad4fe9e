"""Opaque places in a list (RFC 8288 `next` links). One holds for one log, patient, reader's role and filter only,
and whoever brings it is authorised anew."""

import base64
import binascii
from typing import NamedTuple
from urllib.parse import urlencode

from api.problems import ApiProblem
from infra.keys import KeyRing

_PLACE = 8


class Cursors(NamedTuple):
    """`scope` is everything that a cursor is bound to."""

    keys: KeyRing
    scope: tuple[str, ...]

    def cursor(self, place: int) -> str:
        told = place.to_bytes(_PLACE, "big")
        return base64.urlsafe_b64encode(told + self._seal(told)).decode().rstrip("=")

    def place(self, cursor: str | None, start: int) -> int:
        """Where to go on; `start` without a cursor. Raises ApiProblem invalid-cursor."""
        if cursor is None:
            return start
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError):
            raise ApiProblem("invalid-cursor") from None
        told = raw[:_PLACE]
        if len(told) != _PLACE or raw[_PLACE:] != self._seal(told):
            raise ApiProblem("invalid-cursor")
        return int.from_bytes(told, "big")

    def _seal(self, told: bytes) -> bytes:
        return self.keys.digest("cursor", told.hex(), *self.scope)


def link_to_next(path: str, parameters: dict[str, object], cursor: str) -> dict[str, str]:
    given = {name: each for name, each in parameters.items() if each is not None}
    return {"Link": f'<{path}?{urlencode({**given, "cursor": cursor})}>; rel="next"'}

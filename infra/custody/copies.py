"""Where else a patient's data stands: raw messages that are theirs, that tell of several people, or that were set
aside and name them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg

from domain.patient import NHS_NUMBER, Identifier
from infra.custody.rotation import Progress
from infra.keys import KeyRing, KeyUnusable

Connection = psycopg.Connection[Any]

# A shorter number of one hospital stands in other people's messages by chance.
_SHORTEST = 6
_THEIRS = "select receipt_key from log.raw_messages where key_id = %b"
_OF_SEVERAL = """
    select distinct r.key from log.raw_messages m
      join log.monthly_keys k on k.key_id = m.key_id
      join log.receipts r on r.key = m.receipt_key
      join log.events e on e.position between r.first_position and r.last_position
     where e.patient_id = %b"""
_UNATTRIBUTED = """select m.receipt_key, m.key_id, k.wrapped, m.sealed
                     from log.raw_messages m join log.monthly_keys k on k.key_id = m.key_id"""


def receipts_of(
    connection: Connection, keys: KeyRing, patient_id: UUID, key_id: UUID, known: Sequence[Identifier], told: Progress
) -> list[bytes]:
    """Keys of the receipts whose bytes hold something of the patient. `told` hears (messages searched, of all)."""
    found = {row[0] for row in connection.execute(_THEIRS, [key_id], binary=True)}
    found |= {row[0] for row in connection.execute(_OF_SEVERAL, [patient_id], binary=True)}
    found.update(_naming(connection, keys, known, told))
    return sorted(found)


def _naming(connection: Connection, keys: KeyRing, known: Sequence[Identifier], told: Progress) -> Iterator[bytes]:
    named = _pattern(known)
    if named is None:
        return
    row = connection.execute("select count(*) from log.raw_messages m join log.monthly_keys using (key_id)").fetchone()
    total = int(row[0]) if row else 0
    # On the server a row at a time would be a round trip each; all at once could be more than memory holds.
    with connection.transaction(), connection.cursor(name="unattributed", binary=True) as rows:
        rows.itersize = 200
        rows.execute(_UNATTRIBUTED)
        for done, (receipt_key, month_key, wrapped, sealed) in enumerate(rows, start=1):
            if named.search(_opened(keys, month_key, wrapped, receipt_key, sealed)):
                yield receipt_key
            told(done, max(total, done))


def _opened(keys: KeyRing, key_id: UUID, wrapped: bytes, receipt_key: bytes, sealed: bytes) -> bytes:
    try:
        return keys.unwrap(key_id, wrapped).open(sealed, receipt_key)
    except KeyUnusable:
        return b""  # nobody can read it, so it holds nothing of anybody


def _pattern(known: Sequence[Identifier]) -> re.Pattern[bytes] | None:
    """Any of these numbers, not as a part of a longer one; an NHS number also with the blanks that people write."""
    forms = [_form(each) for each in known if len(each.value) >= _SHORTEST]
    if not forms:
        return None
    return re.compile(rb"(?<![0-9A-Za-z])(?:" + b"|".join(forms) + rb")(?![0-9A-Za-z])")


def _form(each: Identifier) -> bytes:
    if each.system == NHS_NUMBER:
        return rb"[ -]?".join(bytes([digit]) for digit in each.value.encode())
    return re.escape(each.value.encode())

"""Canonical JSON (RFC 8785) of what we sign: objects with ASCII names, lists, strings, whole numbers, true and false.

For these, sorting names by their bytes and writing nothing that need not be written is all that the RFC asks.
"""

from typing import Any

import orjson


def canonical(value: Any) -> bytes:
    """Raises TypeError for numbers that JSON readers do not agree about, from 2**53 on."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)

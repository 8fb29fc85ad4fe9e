"""Canonical JSON (RFC 8785) of what we sign: objects, lists, strings, whole numbers, true, false and null."""

import json
from typing import Any

_MOST = 2**53


def canonical(value: Any) -> bytes:
    """Raises ValueError for numbers that JSON readers do not agree about: fractions and those from 2**53 on."""
    return _text(value).encode()


def _text(value: Any) -> str:
    match value:
        case dict():
            names = sorted(value, key=lambda name: name.encode("utf-16-be"))
            return "{" + ",".join(f"{_text(name)}:{_text(value[name])}" for name in names) + "}"
        case list() | tuple():
            return "[" + ",".join(_text(each) for each in value) + "]"
        case float():
            raise ValueError("a fraction has no place in what we sign")
        case int() if abs(value) >= _MOST:
            raise ValueError("a number is too large for JSON readers to agree about")
        case _:
            return json.dumps(value, ensure_ascii=False)

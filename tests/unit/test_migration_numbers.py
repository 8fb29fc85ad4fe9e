"""Migrations are applied in the order of their names: two of one number would be in the order of chance."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "infra" / "migrations"
# Landed at once, and independent of each other; what is applied is not renamed.
TWICE = {"0009": 2}


def odd(names: Iterable[str]) -> dict[str, int]:
    """Numbers that several migrations have, and names without a number."""
    found = Counter(number[0] if (number := re.match(r"\d{4}(?=_[a-z0-9_]+\.sql$)", name)) else name for name in names)
    return {number: count for number, count in found.items() if count > 1 or not number.isdigit()}


def test_each_number_is_given_once() -> None:
    assert odd(path.name for path in FOLDER.iterdir()) == TWICE


def test_a_number_given_twice_and_a_name_without_one_are_noticed() -> None:
    assert odd(["0001_log.sql", "0001_other.sql"]) == {"0001": 2}
    assert odd(["0009_a.sql", "0009_b.sql", "0009_c.sql"]) == {"0009": 3}
    assert odd(["12_short.sql", "0012_Capital.sql"]) == {"12_short.sql": 1, "0012_Capital.sql": 1}

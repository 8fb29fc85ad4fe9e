"""Advisory locks share one space of numbers: two purposes under one number would wait for each other."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
APPENDING = "7305550312"


def holders() -> dict[str, set[str]]:
    """Numbers to the modules and functions that lock under them."""
    found: dict[str, set[str]] = defaultdict(set)
    for layer in ("infra", "projections", "consumers", "api"):
        for path in (*(ROOT / layer).rglob("*.py"), *(ROOT / layer).rglob("*.sql")):
            for number in re.findall(r"\b73055503\d\d\b", path.read_text(encoding="utf-8")):
                found[number].add(path.name)
    return found


def test_a_number_has_one_purpose() -> None:
    shared = {number: names for number, names in holders().items() if len(names) > 1}
    assert set(shared) == {APPENDING}, "only the append lock is taken in several places"
    assert {"append.sql", "destroy_key.sql", "log.py"} <= shared[APPENDING]

"""Generated documents are as the code would make them now, and say something of everything."""

from collections.abc import Callable
from pathlib import Path

import pytest

from domain.catalogue import CATALOGUE
from infra.documents import DOCUMENTS, events, settings
from infra.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("name", "make"), DOCUMENTS.items())
def test_a_generated_document_is_up_to_date(name: str, make: Callable[[], str]) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == make(), "run make docs"


def test_every_setting_and_every_event_is_documented() -> None:
    assert all(f"| `{name.upper()}` |" in settings() for name in Settings.model_fields)
    assert all(f"## {stored}\n" in events() for stored in CATALOGUE)

"""The table of outcomes: what it counts, that the document is fresh, and that every reason code is explained."""

import ast
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from consumers.outcomes import main, markdown, outcome_table
from tests.fhir_documents import FIXTURES

ROOT = Path(__file__).parents[2]
EXAMPLES = Path(os.environ.get("EXAMPLES_DIR", ROOT / ".." / "shared" / "examples"))
# Which argument of a call is the code of a refusal.
CODE_PLACES = {"Refusal": 0, "refusal": 0, "Held": 0, "Refused": 2}


def test_each_file_has_a_row_that_counts_its_outcomes() -> None:
    rows = {row.file: row for row in outcome_table(FIXTURES)}
    assert set(rows) == {path.name for path in FIXTURES.glob("*.json")}
    bundle = rows["breast_bundle.json"]
    assert bundle.recorded["care-plan.action-agreed.v1"] == 2
    assert bundle.not_ours == Counter({"Claim": 1})
    assert bundle.refused == Counter({("invalid-date", "/entry/8/resource/performedDateTime"): 1})


def test_the_table_names_no_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FIXTURES)]) == 0
    told = capsys.readouterr().out
    assert "| breast_bundle.json | FHIR |" in told
    assert not any(word in told for word in ("9990123454", "Asha", "ZZ99", "H1001"))


def test_a_missing_folder_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([str(tmp_path / "none")]) == 1
    assert "EXAMPLES_DIR" in capsys.readouterr().err


def test_the_document_of_examples_is_fresh() -> None:
    if not EXAMPLES.is_dir():
        pytest.skip("the public examples are not here; set EXAMPLES_DIR")
    fresh = markdown(outcome_table(EXAMPLES))
    assert (ROOT / "docs" / "examples.md").read_text() == fresh, "run make docs"


def test_every_code_of_a_refusal_is_explained() -> None:
    modules = [*(ROOT / "consumers").rglob("*.py"), ROOT / "domain" / "identity.py"]
    used = {code for path in modules for code in codes_in(ast.parse(path.read_text()))}
    assert {"no-patient", "invalid-date", "withdrawal-by-hand", "name-conflict"} <= used
    explained = set(re.findall(r"^\| `(\S+)` \|", (ROOT / "docs" / "rejections.md").read_text(), re.MULTILINE))
    assert used <= explained


def codes_in(module: ast.Module) -> Iterable[str]:
    """The literal codes of refusals; of `f"missing-{name}"` its beginning, as the document has it."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = CODE_PLACES.get(name)
        if place is not None:
            named = [each.value for each in node.keywords if each.arg == "code"]
            told = (literal(each) for each in node.args[place : place + 1] or named)
            yield from (code for code in told if code is not None)


def literal(node: ast.expr) -> str | None:
    """None for a code that is only passed on: it counts where it was written."""
    match node:
        case ast.Constant(value=str() as code):
            return code
        case ast.JoinedStr(values=[ast.Constant(value=str() as start), *_]):
            return f"{start}…"
        case _:
            return None

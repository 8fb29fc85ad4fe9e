"""A report is read in two parts, its patient apart: that must come to the same as reading it as a whole."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from consumers.envelope import envelope, opened
from consumers.translation import Entry, Refusal, Refused, Sender, Translated
from consumers.vocabulary import Report, report_of, translate, vocabulary
from domain.facts import Fact, fact_json
from tests.events import binary
from tests.samples import samples

SAMPLES = {fact.stored: sample for fact, sample in samples().items() if fact.stored in vocabulary()}
ODD: st.SearchStrategy[Any] = st.sampled_from([None, 1, "", "x", "x" * 301, [], {}, [1], "2026", "2026-02-30", True])
PATIENTS = st.fixed_dictionaries(
    {},
    optional={
        "nhs_number": st.sampled_from(["9000000009", "900 000 0008"]) | ODD,
        "identifiers": st.lists(st.fixed_dictionaries({"system": st.just("mrn"), "value": ODD}), max_size=2) | ODD,
        "name": st.fixed_dictionaries({}, optional={"family": ODD, "given": st.just(["Maria"]) | ODD}) | ODD,
        "birth_date": st.sampled_from(["1960", "1960-13"]) | ODD,
        "unknown": ODD,
    },
)
OTHERS = {
    "key_system": ODD,
    "occurred": st.sampled_from(["2026-02", "2026-02-27T10:00:00Z"]) | ODD,
    "performer": st.fixed_dictionaries({"kind": st.sampled_from(["device", "robot"])}, optional={"name": ODD}) | ODD,
    "unknown": ODD,
}


@st.composite
def reports(draw: st.DrawFn) -> tuple[str, Any]:
    """A stored name and data that mostly fit it."""
    stored = draw(st.sampled_from(sorted(SAMPLES)))
    fact: dict[str, Any] = orjson.loads(fact_json(SAMPLES[stored]))
    if fact and draw(st.integers(0, 3)) == 0:
        fact[draw(st.sampled_from(sorted(fact)))] = draw(ODD)
    told = {"patient": draw(PATIENTS | ODD), "key": draw(st.just("k") | ODD), "fact": draw(st.just(fact) | ODD)}
    told |= draw(st.fixed_dictionaries({}, optional=OTHERS))
    left_out = draw(st.sampled_from(["", "", "", "patient", "key", "fact"]))
    return stored, {name: value for name, value in told.items() if name != left_out}


def read(stored: str, data: Any) -> list[Entry] | Refusal:
    told = envelope(opened(binary("1", data, stored)))
    try:
        return translate(told, Sender(told.source, told.id, told.time))
    except Refusal as refusal:
        return refusal


def whole(stored: str, data: Any) -> Report | list[str]:
    """The report, or where it is wrong."""
    try:
        return report_of(stored).model_validate_json(orjson.dumps(data), strict=True)
    except ValidationError as error:
        return ["".join(f"/{step}" for step in each["loc"]) for each in error.errors()[:20]]


@settings(deadline=None)  # the first report of each type waits for its class
@given(reports())
def test_reading_in_parts_is_reading_as_a_whole(told: tuple[str, Any]) -> None:
    entries, expected = read(*told), whole(*told)
    if isinstance(expected, list):
        assert isinstance(entries, list)
        assert [each.field for each in entries if isinstance(each, Refused)] == expected
    elif isinstance(entries, Refusal):
        assert entries.field in ("/patient", "/patient/birth_date", "/occurred") or entries.field.startswith("/fact/")
    else:
        (entry,) = entries
        assert isinstance(entry, Translated)
        _says_the_same(entry, expected)


def _says_the_same(entry: Translated, report: Report) -> None:
    fact: Fact = report.fact
    assert (entry.patient.name, entry.patient.birth_date) == (report.patient.name, report.patient.birth_date)
    assert [each.value for each in entry.patient.identifiers if each.system == "mrn"] == list(
        dict.fromkeys(each.value for each in report.patient.identifiers)
    )
    (instruction,) = entry.instructions
    assert instruction.act == fact
    assert instruction.performer == report.performer

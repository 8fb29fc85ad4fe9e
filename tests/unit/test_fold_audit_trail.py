"""The audit trail: every event as recorded, in words, with who, when, from where and what became of it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.annotation import Corrected, MarkedInError, MovedAway, Withdrawn
from domain.facts import Agent, Provenance, Recorded
from domain.history import effective
from domain.pathway import DiagnosisAgreed
from projections.folds.audit_trail import AUDIT_TRAIL
from projections.folds.folding import fold_all
from tests.builders import REPORTED, day, in_turn, pathway, recorded

AGREED = DiagnosisAgreed(icd10="C50.9", name="Breast cancer")


def lines(events: list[Recorded]) -> Any:
    return fold_all([AUDIT_TRAIL], events)["audit_trail"]["lines"]


def test_a_line_says_what_who_when_and_where_from() -> None:
    origin = Provenance(
        source="/nhs/england/RXX/mdt/test",
        source_event_id="m-7",
        author=Agent(kind="professional", identifier="clerk-1", role="clerk"),
        performer=Agent(kind="professional", identifier="surgeon-1"),
        organisation="RXX",
        reason="entered after the meeting",
        recorded_at_source=datetime(2026, 1, 3, tzinfo=UTC),
    )
    events = recorded([(pathway(), AGREED, day(1))], origin)
    (line,) = lines(events)
    assert line["text"] == "Diagnosis agreed: Breast cancer (C50.9)."
    assert (line["occurred"], line["precision"]) == ("2026-01-02", "day")
    assert line["recorded_at"] == "2026-06-01T09:00:01+00:00"
    assert (line["author"]["identifier"], line["performer"]["identifier"]) == ("clerk-1", "surgeon-1")
    assert (line["organisation"], line["source_event_id"], line["reason"]) == (
        "RXX",
        "m-7",
        "entered after the meeting",
    )
    assert (line["position"], line["event"]) == (1, str(events[0].event_id))
    assert (line["correlation_id"], line["standing"]) == ("not-recorded", "stands")


def test_it_keeps_the_order_of_recording_though_others_tell_of_earlier_days() -> None:
    late = [(pathway(), AGREED, day(9)), (pathway(), DiagnosisAgreed(icd10="C50.1"), day(1))]
    assert [line["position"] for line in lines(recorded(late))] == [1, 2]


def test_what_was_marked_in_error_or_corrected_stays_and_says_by_what() -> None:
    corrected = Corrected(version=2, replaced_by=AGREED.stored, replacement={"icd10": "C50.1"}, reason="mistyped")
    events = in_turn(
        (pathway(), AGREED), (pathway(), AGREED), (pathway(), MarkedInError(versions=(1,))), (pathway(), corrected)
    )
    first, second, mark, correction = lines(events)
    assert (first["standing"], first["annotated_by"]) == ("marked-in-error", [mark["event"]])
    assert (second["standing"], second["annotated_by"]) == ("corrected", [correction["event"]])
    assert second["text"] == "Diagnosis agreed: Breast cancer (C50.9)."
    assert correction["replacement"] == {"icd10": "C50.1"}


def test_a_correction_does_not_bring_back_what_was_marked_in_error() -> None:
    corrected = Corrected(version=1, replaced_by=AGREED.stored, replacement={"icd10": "C50.1"})
    events = in_turn((pathway(), AGREED), (pathway(), MarkedInError(versions=(1,))), (pathway(), corrected))
    assert lines(events)[0]["standing"] == "marked-in-error"


def test_an_annotation_speaks_of_nothing_that_comes_after_it() -> None:
    events = in_turn((pathway(), MarkedInError(versions=(2,))), (pathway(), AGREED))
    assert [line["standing"] for line in lines(events)] == ["stands", "stands"]


def test_what_was_withdrawn_says_so_whether_it_came_before_or_after_and_what_was_told_later_stands() -> None:
    early, late = (
        REPORTED.model_copy(update={"recorded_at_source": datetime(2026, 5, day, tzinfo=UTC)}) for day in (1, 9)
    )
    withdrawal = (pathway(), Withdrawn(as_of=datetime(2026, 5, 2, tzinfo=UTC)), day(3))
    told, again = (pathway(), AGREED, day(1)), (pathway(), DiagnosisAgreed(icd10="C50.1"), day(2))
    elsewhere = (pathway("other"), AGREED, day(1))
    events = recorded(
        [told, elsewhere, told, told, withdrawal, again, told, told],
        [early, early, late, REPORTED, late, early, late, REPORTED],
    )
    found = lines(events)
    by = found[4]["event"]
    is_gone = [True, False, False, True, False, True, False, False]
    assert [each["standing"] for each in found] == ["withdrawn" if gone else "stands" for gone in is_gone]
    assert [each["annotated_by"] for each in found] == [[by] if gone else [] for gone in is_gone]
    fallen = {str(event.event_id) for event in events} - {str(event.event_id) for event in effective(events)} - {by}
    assert fallen == {each["event"] for each in found if each["standing"] == "withdrawn"}
    assert "as it stood there on 2026-05-02 01:00" in found[4]["text"]


def test_what_is_said_to_occur_long_after_its_recording_is_found_amiss() -> None:
    mistyped, right = lines(recorded([(pathway(), AGREED, day(365)), (pathway(), AGREED, day(1))]))
    assert (mistyped["findings"], right["findings"]) == (["occurred-after-recording"], [])


def test_what_was_moved_away_says_so_and_stays_so() -> None:
    moved = MovedAway(versions=(1,), to_patient=UUID(int=7))
    corrected = Corrected(version=1, replaced_by=AGREED.stored, replacement={"icd10": "C50.1"})
    first, *_ = lines(in_turn((pathway(), AGREED), (pathway(), moved), (pathway(), corrected)))
    assert first["standing"] == "moved-away"

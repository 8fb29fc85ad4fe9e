"""What older versions stored is read as facts of today, wherever it stands."""

from collections.abc import Iterator

import pytest

from consumers.schemas import schema
from consumers.translation import Refusal
from consumers.vocabulary import stored_name, vocabulary
from domain import evolution
from domain.annotation import Correct, Corrected, MarkedInError, MarkInError, Move, Retract, Withdrawn
from domain.care_plan import GoalSet, NeedRaised
from domain.correcting import correct, mark_in_error, relocate, retract
from domain.disclosure import as_seen_by_patient
from domain.evolution import RETIRED, Several, read
from domain.facts import CARE_PLAN, NotAllowed, Recorded
from domain.history import Growing, effective
from domain.pathway import PerformanceStatusAssessed
from projections.catalogue import PROJECTIONS
from projections.folds.folding import fold_all
from projections.folds.unfolding import Unfolding
from projections.past.replay import steps
from tests.builders import PATIENT_ID, in_turn, past_of, pathway
from tests.older import OLDER

BODY = b'{"need":"n","concern":"work","words":"back to the bakery"}'
SPLIT = "care-plan.need-and-goal-recorded.v0"


@pytest.fixture(autouse=True)
def older(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for stored, fact in OLDER.items():
        monkeypatch.setitem(RETIRED, stored, fact)
    yield
    monkeypatch.undo()


def old_log() -> list[Recorded]:
    return in_turn(
        (CARE_PLAN, read(SPLIT, BODY)),
        (pathway(), read("pathway.fitness-assessed.v0", b'{"grade":1}')),
        (CARE_PLAN, read("care-plan.fax-number-noted.v0", b'{"number":"01632 960000"}')),
        (CARE_PLAN, NeedRaised(need="m", concern="money")),
    )


def test_names_lead_through_versions_to_facts_of_today() -> None:
    assert read("pathway.fitness-assessed.v0", b'{"grade":1}') == PerformanceStatusAssessed(scale="ECOG", value="1")
    several = read(SPLIT, BODY)
    assert isinstance(several, Several)
    assert [fact.stored for fact in several.facts] == [NeedRaised.stored, GoalSet.stored]
    assert read("care-plan.fax-number-noted.v0", b'{"number":"1"}') == Several(
        was="care-plan.fax-number-noted.v0", facts=()
    )


def test_the_history_holds_each_fact_by_itself_under_the_id_of_its_event() -> None:
    standing = effective(old_log())
    assert [event.fact.stored for event in standing] == [
        NeedRaised.stored, GoalSet.stored, PerformanceStatusAssessed.stored, NeedRaised.stored,
    ]  # fmt: skip
    assert [(event.version, event.part) for event in standing[:2]] == [(1, 0), (1, 1)]


def test_documents_grow_as_they_are_folded() -> None:
    growing, unfolding = Growing(), Unfolding(PROJECTIONS)
    for number, event in enumerate(old_log(), start=1):
        growing.add(event)
        unfolding.add(event)
        assert growing.events == effective(old_log()[:number])
        assert unfolding.documents() == fold_all(PROJECTIONS, old_log()[:number])
    assert len(steps(PROJECTIONS, past_of(old_log()))) == len(old_log())


def test_the_audit_trail_has_one_line_for_each_event_under_its_stored_name() -> None:
    lines = fold_all(PROJECTIONS, old_log())["audit_trail"]["lines"]
    assert [line["kind"] for line in lines] == [
        SPLIT, PerformanceStatusAssessed.stored, "care-plan.fax-number-noted.v0", NeedRaised.stored,
    ]  # fmt: skip
    assert "work" in lines[0]["text"]
    assert "back to the bakery" in lines[0]["text"]
    assert "not read any more" in lines[2]["text"]


def test_an_error_takes_all_its_facts_away_and_a_correction_stands_in_their_place() -> None:
    told = [event for event in old_log() if event.stream_id == CARE_PLAN.stream_id(PATIENT_ID)]
    withdrawn = Withdrawn(as_of=told[-1].recorded_at)
    assert retract(told, Retract(as_of=withdrawn.as_of)) == (withdrawn,)
    assert effective([*told, told[-1]._replace(position=9, version=4, fact=withdrawn)]) == []
    assert mark_in_error(told, MarkInError(versions=(1,), reason="r")) == (MarkedInError(versions=(1,), reason="r"),)
    marked = [*told, told[-1]._replace(position=9, version=4, fact=MarkedInError(versions=(1,)))]
    assert [event.version for event in effective(marked)] == [3]
    corrected = Corrected(version=3, replaced_by=SPLIT, replacement={"need": "x", "concern": "y", "words": "z"})
    standing = effective([*told, told[-1]._replace(position=9, version=4, fact=corrected)])
    assert [event.fact.stored for event in standing if event.version == 3] == [NeedRaised.stored, GoalSet.stored]


def test_one_of_several_facts_is_neither_corrected_nor_moved_by_itself() -> None:
    told = [event for event in old_log() if event.stream_id == CARE_PLAN.stream_id(PATIENT_ID)]
    with pytest.raises(NotAllowed, match="older version"):
        correct(told, Correct(version=1, occurred="2026-01-01", reason="r"))
    with pytest.raises(NotAllowed, match="older version"):
        relocate(told, Move(versions=(1,), to=CARE_PLAN.stream_id(PATIENT_ID), reason="r"))


def test_the_gate_looks_at_each_fact_by_itself() -> None:
    assert as_seen_by_patient(effective(old_log())) == []


def test_sources_may_send_an_older_version_but_not_what_was_given_up() -> None:
    assert stored_name(f"uk.nhs.cancerplan.{SPLIT}") == SPLIT
    assert schema(SPLIT)["deprecated"] is True
    assert "deprecated" not in schema(NeedRaised.stored)
    assert "care-plan.fax-number-noted.v0" not in vocabulary()
    with pytest.raises(Refusal):
        stored_name("uk.nhs.cancerplan.care-plan.fax-number-noted.v0")


def test_every_name_of_before_becomes_facts_of_the_same_kind_of_stream() -> None:
    for stored, fact in OLDER.items():
        assert evolution.stored_class(stored) is fact
        sample = dict.fromkeys(fact.model_fields, "1")
        for each in evolution.facts_of_today(fact.model_validate(sample)):
            assert each.stored.split(".")[0] == stored.split(".")[0]

"""Many messages are read a step at a time; nothing of one may show in another."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from consumers.messages import RawMessage, content_type_of, packed, unpacked
from consumers.pipeline import Pipeline
from domain.identity import PatientReference
from infra.keys import FileKeyProvider, KeyRing
from infra.writing.work import OffsetMove, PartOutcome, Work
from tests.events import SOURCE, binary, diagnosis, structured

OTHER = "/nhs/england/RYY/pas/test"
LARGE = binary("8", diagnosis(filler="x" * 700_000))
MESSAGES = [
    binary("1", diagnosis()),
    binary("2", b"{"),
    binary("3", diagnosis("no code")),
    structured("4", diagnosis("C61")),
    binary("5", diagnosis(patient="900 000 0008"), source=OTHER),
    binary("6", diagnosis(patient="900 000 0008")),
    binary("7", diagnosis(), dataschema=""),
    RawMessage((("content-type", b"application/json"),), None, "t/0/7"),
    binary("1", diagnosis()),
]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    FileKeyProvider.generate(tmp_path / "keys.json")
    return Pipeline(KeyRing(FileKeyProvider(tmp_path / "keys.json")))


def seen(work: Work) -> tuple[Any, ...]:
    concluded = work.conclude([PartOutcome(None)] * len(work.parts))
    return (*work[:4], concluded, work.raw, work.offset, work.replaces)


def first_reason(work: Work) -> dict[str, Any]:
    rejection = work.conclude([]).rejection
    assert rejection is not None
    return rejection.reasons[0]


def patient(work: Work) -> PatientReference:
    assert isinstance(work.parts[0].patient, PatientReference)
    return work.parts[0].patient


def test_many_messages_are_read_as_each_alone(pipeline: Pipeline) -> None:
    told = [(message, OffsetMove("c", "t", 0, place)) for place, message in enumerate([*MESSAGES * 30, *[LARGE] * 5])]
    together = pipeline.works(told)
    assert [seen(work) for work in together] == [seen(pipeline.work(*each)) for each in told]
    assert {len(work.parts) for work in together} == {0, 1}


def test_no_message_at_all_is_no_work(pipeline: Pipeline) -> None:
    assert pipeline.works([]) == []


def test_what_fails_here_in_one_message_leaves_the_others(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    translate = pipeline._entries

    def failing(read: Any) -> Any:
        return 1 / 0 if read.id == "4" else translate(read)

    monkeypatch.setattr(pipeline, "_entries", failing)
    works = pipeline.works((message, None) for message in MESSAGES[:5])
    assert [len(work.parts) for work in works] == [1, 0, 0, 0, 1]
    assert first_reason(works[3])["code"] == "not-readable"
    assert works[3].source == SOURCE


def test_a_number_that_fails_its_check_means_something_only_to_its_own_source(pipeline: Pipeline) -> None:
    theirs, ours = (patient(pipeline.work(message)).identifiers[0] for message in MESSAGES[4:6])
    assert (theirs.system, ours.system) == (f"{OTHER}/unverified-nhs-number", f"{SOURCE}/unverified-nhs-number")


def test_a_patient_told_otherwise_is_read_anew(pipeline: Pipeline) -> None:
    known = diagnosis() | {"patient": {"nhs_number": "9000000009", "birth_date": "1960"}}
    again = diagnosis() | {"patient": {"birth_date": "1960", "nhs_number": "9000000009"}}
    other = diagnosis() | {"patient": {"nhs_number": "9000000009", "birth_date": "1961"}}
    one, same, another = (patient(pipeline.work(binary("1", each))) for each in (known, again, other))
    assert one is same
    assert (one.birth_date, another.birth_date) == ("1960", "1961")


def test_a_patient_of_whom_much_is_told_is_not_remembered(pipeline: Pipeline) -> None:
    named = diagnosis() | {"patient": {"nhs_number": "9000000009", "name": {"given": ["x" * 300] * 4}}}
    one, again = (patient(pipeline.work(binary("1", named))) for _ in range(2))
    assert one == again
    assert one is not again


@pytest.mark.parametrize("name", ["ce_id", "ce_subject", "ce_extra", "content-type", "other"])
def test_a_header_without_a_value_is_as_one_that_is_empty(name: str, pipeline: Pipeline) -> None:
    headers = tuple(each for each in binary("1", diagnosis(), subject="s").headers if each[0] != name)
    without, empty = (
        RawMessage((*headers, (name, value)), binary("1", diagnosis()).value, "t/0/0") for value in (None, b"")
    )
    works = [pipeline.work(each) for each in (without, empty)]
    assert works[0].digest == works[1].digest
    assert [len(work.parts) for work in works] == [0, 0] if name == "ce_id" else [1, 1]
    assert unpacked(packed(without), "t/0/0") == without


def test_the_content_type_is_found_however_it_is_spelt() -> None:
    headers = ((("Content-Type", None), ("CONTENT-TYPE", b"Text/Plain; a=b"), ("content-type", b"a/b")), ())
    assert content_type_of(RawMessage(headers[0], b"", "")) == "a/b"
    assert content_type_of(RawMessage(headers[0][:2], b"", "")) == "text/plain"
    assert content_type_of(RawMessage(headers[0][:1], b"", "")) == ""


def test_without_source_and_id_the_content_is_the_identity(pipeline: Pipeline) -> None:
    work = pipeline.work(MESSAGES[7])
    assert work.source == "unidentified"
    assert work.digest == hashlib.sha256(b"application/json\n").digest()

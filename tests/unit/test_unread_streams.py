"""Streams as they are loaded: sealed, until somebody asks."""

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.annotation import MarkedInError, MovedIn
from domain.catalogue import UnknownFact
from domain.facts import Category
from domain.patient import AboutMeWritten, LanguageRecorded, PatientRegistered
from domain.stream import Stream
from domain.times import Precision
from infra.keys import DataKey, KeyUnusable
from infra.writing.sealed import Sealed
from tests.builders import FIRST_RECORDING, PATIENT_ID
from tests.deciding import AFTER_ALL, as_loaded, carry_out, stream_of

_ANOTHER_KEY = DataKey(UUID(int=9), AESGCM(AESGCM.generate_key(256)))
_WRITTEN = AboutMeWritten(heading="what-matters", words="my garden")


def test_what_stands_already_is_known_by_its_bytes() -> None:
    read = stream_of(Category.PATIENT, PatientRegistered(), _WRITTEN)
    loaded = as_loaded(read)
    assert loaded.decide(_WRITTEN, read.events[1].occurred) == []
    assert len(loaded.decide(_WRITTEN, AFTER_ALL)) == 1


def test_what_was_marked_in_error_may_be_told_again() -> None:
    read = stream_of(Category.PATIENT, PatientRegistered(), _WRITTEN)
    carry_out(read, MarkedInError(versions=(2,)))
    assert len(as_loaded(read).decide(_WRITTEN, read.events[1].occurred)) == 1


def test_nothing_of_a_stream_opens_with_another_key() -> None:
    loaded = as_loaded(stream_of(Category.PATIENT, PatientRegistered()), _ANOTHER_KEY)
    assert loaded.version == 1
    for ask in (loaded.state, lambda: loaded.events, lambda: carry_out(loaded, _WRITTEN)):
        with pytest.raises(KeyUnusable):
            ask()
    assert loaded.count == 1


def test_only_what_the_state_heeds_is_opened_for_it() -> None:
    """Altered bytes show what was opened."""
    loaded = as_loaded(stream_of(Category.PATIENT, PatientRegistered(), LanguageRecorded(language="cy")))
    sealed = loaded._unread
    assert isinstance(sealed, Sealed)
    sealed._rows = [sealed._rows[0], (*sealed._rows[1][:9], b"altered" * 9)]
    assert loaded.state().known
    with pytest.raises(KeyUnusable):
        carry_out(loaded, _WRITTEN)


def test_what_was_moved_in_tells_the_kind_of_a_stream() -> None:
    moved = MovedIn(
        from_patient=UUID(int=1), from_stream=UUID(int=2), from_version=1, moved=_WRITTEN.stored,
        fact=_WRITTEN.model_dump(), occurred_at=FIRST_RECORDING, precision=Precision.DAY, recorded_at=FIRST_RECORDING,
        provenance={"source": "/s", "source_event_id": "1"}, reason="another person's",
    )  # fmt: skip
    sealed = as_loaded(stream_of(Category.CARE_PLAN, moved))._unread
    assert sealed is not None
    assert Stream.of_unread(PATIENT_ID, Category.CARE_PLAN, sealed).category is Category.PATIENT


def test_a_name_that_nobody_knows_stops_the_stream() -> None:
    sealed = as_loaded(stream_of(Category.PATIENT, PatientRegistered()))._unread
    assert isinstance(sealed, Sealed)
    sealed._rows = [(*sealed._rows[0][:6], "patient.imagined.v1", *sealed._rows[0][7:])]
    with pytest.raises(UnknownFact):
        Stream.of_unread(PATIENT_ID, Category.PATIENT, sealed)

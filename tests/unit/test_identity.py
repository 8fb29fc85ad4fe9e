"""Whose event is it? Matching by identifiers that demographics must not contradict."""

from uuid import UUID

import pytest

from domain.identity import Held, PatientReference, identifier, introduction, is_valid_nhs_number, match
from domain.patient import NHS_NUMBER, Identifier, IdentifierLinked, Name, Patient, PatientRegistered

MARIA = UUID(int=1)
OTHER = UUID(int=2)
NUMBER = Identifier(system=NHS_NUMBER, value="9000000009")
OTHER_NUMBER = Identifier(system=NHS_NUMBER, value="9000000017")
MRN = Identifier(system="https://rxx.example/mrn", value="17")


def named(given: str = "Maria", family: str = "Example") -> Name:
    return Name(given=(given,) if given else (), family=family)


def known_patient(birth_date: str | None = "1961-04-30", *names: Name) -> Patient:
    return Patient(known=True, identifiers=(NUMBER, MRN), names=names or (named(),), birth_date=birth_date)


def matched(
    *identifiers: Identifier,
    name: Name | None = None,
    birth_date: str | None = None,
    patient: Patient | None = None,
    known: dict[Identifier, UUID] | None = None,
) -> UUID | None:
    reference = PatientReference(identifiers=identifiers, name=name, birth_date=birth_date)
    state = patient or known_patient()
    return match(reference, {NUMBER: MARIA, MRN: MARIA} if known is None else known, lambda _: state)


def held(*identifiers: Identifier, name: Name | None = None, birth_date: str | None = None) -> str:
    with pytest.raises(Held) as caught:
        matched(*identifiers, name=name, birth_date=birth_date)
    return caught.value.code


def test_nobody_known_is_someone_new() -> None:
    assert matched(NUMBER, known={}) is None


@pytest.mark.parametrize("each", [NUMBER, MRN])
def test_one_identifier_is_enough_where_nothing_contradicts(each: Identifier) -> None:
    assert matched(each) == MARIA
    assert matched(each, name=named(), birth_date="1961-04-30") == MARIA


def test_an_unknown_identifier_beside_a_known_one_changes_nothing() -> None:
    assert matched(MRN, Identifier(system="https://ryy.example/mrn", value="4")) == MARIA


class TestNames:
    def test_twins_share_all_but_the_given_name(self) -> None:
        assert held(MRN, name=named("Martha"), birth_date="1961-04-30") == "name-conflict"

    def test_a_family_name_changes_at_marriage(self) -> None:
        assert matched(MRN, name=named(family="Married")) == MARIA

    @pytest.mark.parametrize("given", ["M", "m.", " MARIA ", "maria", ""])
    def test_an_initial_or_another_spelling_will_do(self, given: str) -> None:
        assert matched(MRN, name=named(given)) == MARIA

    def test_the_wrong_initial_will_not(self) -> None:
        assert held(MRN, name=named("K")) == "name-conflict"

    def test_a_shorter_name_is_another_name(self) -> None:
        assert held(MRN, name=named("Mari")) == "name-conflict"

    def test_any_name_recorded_so_far_agrees(self) -> None:
        state = known_patient("1961-04-30", named(), named("Mia"))
        assert matched(MRN, name=named("Mia"), patient=state) == MARIA


class TestBirthDates:
    @pytest.mark.parametrize("told", ["1961", "1961-04", "1961-04-30", None])
    def test_a_partial_date_agrees_with_what_it_begins(self, told: str | None) -> None:
        assert matched(MRN, birth_date=told) == MARIA

    @pytest.mark.parametrize("told", ["1962", "1961-05", "1961-04-03"])
    def test_another_date_is_held(self, told: str) -> None:
        assert held(MRN, birth_date=told) == "birth-date-conflict"

    def test_a_full_date_agrees_with_a_partial_one_on_record(self) -> None:
        assert matched(MRN, birth_date="1961-04-30", patient=known_patient("1961")) == MARIA
        assert matched(MRN, birth_date="1961-04-30", patient=known_patient(None)) == MARIA


class TestNhsNumbers:
    def test_another_nhs_number_beside_a_known_local_one_is_held(self) -> None:
        assert held(OTHER_NUMBER, MRN) == "nhs-number-conflict"

    def test_a_patient_without_one_may_gain_it(self) -> None:
        state = Patient(known=True, identifiers=(MRN,))
        assert matched(OTHER_NUMBER, MRN, patient=state, known={MRN: MARIA}) == MARIA

    def test_identifiers_of_two_patients_are_held(self) -> None:
        reference = PatientReference(identifiers=(NUMBER, MRN))
        with pytest.raises(Held) as caught:
            match(reference, {NUMBER: MARIA, MRN: OTHER}, lambda _: Patient(known=True))
        assert caught.value.code == "identifiers-disagree"

    @pytest.mark.parametrize("value", ["900 000 0009", "900-000-0009", "9000000009"])
    def test_spaces_and_hyphens_do_not_matter(self, value: str) -> None:
        assert identifier(NHS_NUMBER, value, "/nhs/england/RXX/pas") == NUMBER

    @pytest.mark.parametrize("value", ["9000000008", "900000000", "90000000090", "٩٠٠٠٠٠٠٠٠٩", ""])
    def test_a_number_that_fails_its_check_means_something_to_its_source_alone(self, value: str) -> None:
        assert not is_valid_nhs_number(value)
        ours = identifier(NHS_NUMBER, value, "/nhs/england/RXX/pas")
        theirs = identifier(NHS_NUMBER, value, "/nhs/england/RYY/pas")
        assert ours.system != NHS_NUMBER
        assert ours != theirs
        assert matched(ours, MRN) == MARIA  # and it contradicts no verified number

    def test_a_local_identifier_is_kept_as_told(self) -> None:
        assert identifier("https://rxx.example/mrn", " 1-7 ", "x") == Identifier(
            system="https://rxx.example/mrn", value=" 1-7 "
        )


class TestIntroduction:
    def test_someone_new_is_registered_with_all_identifiers(self) -> None:
        reference = PatientReference(identifiers=(NUMBER, MRN, MRN))
        assert introduction(reference, {}, is_new=True) == [
            PatientRegistered(provisional=False),
            IdentifierLinked(identifier=NUMBER, verified=True),
            IdentifierLinked(identifier=MRN),
        ]

    def test_without_a_verified_number_they_are_provisional(self) -> None:
        unverified = identifier(NHS_NUMBER, "9000000008", "/nhs/england/RXX/pas")
        assert introduction(PatientReference(identifiers=(unverified,)), {}, is_new=True) == [
            PatientRegistered(provisional=True),
            IdentifierLinked(identifier=unverified, verified=False),
        ]

    def test_only_what_is_new_is_linked(self) -> None:
        reference = PatientReference(identifiers=(NUMBER, MRN))
        assert introduction(reference, {MRN: MARIA}, is_new=False) == [
            IdentifierLinked(identifier=NUMBER, verified=True)
        ]

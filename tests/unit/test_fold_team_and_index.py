"""Who has a relationship with the patient, and by what the patient is found."""

from typing import Any
from uuid import UUID

from domain.appointment import AppointmentBooked
from domain.facts import Fact, Provenance
from domain.linking import LinkKind, LinkReported
from domain.pathway import PathwayClosed, PathwayOpened
from domain.patient import (
    NHS_NUMBER,
    CareLeadEnded,
    CareLeadNamed,
    CareLeadRole,
    DeathReportedInformally,
    DemographicsRecorded,
    Identifier,
    IdentifierLinked,
    Name,
    ProfessionalJoinedTeam,
    ProfessionalLeftTeam,
    RestrictionApplied,
    RestrictionLifted,
)
from domain.referral import ReferralReceived, ReferralRejected
from projections.folds.care_team import CARE_TEAM
from projections.folds.folding import Projection, fold_all
from projections.folds.patient_index import PATIENT_INDEX, TO_BE_JOINED
from tests.builders import PATIENT_ID, day, recorded, target_of

NOBODY = Provenance(source="test", source_event_id="1")
LEAD = CareLeadNamed(role=CareLeadRole.KEY_WORKER, professional="k1", name="Kit", organisation="RLL")


def fold(projection: Projection, facts: tuple[Fact, ...], provenance: Provenance = NOBODY) -> Any:
    told = [(target_of(fact), fact, day(number)) for number, fact in enumerate(facts)]
    return fold_all([projection], recorded(told, provenance))[projection.name]


def team(*facts: Fact, provenance: Provenance = NOBODY) -> tuple[list[str], list[str]]:
    clear = CARE_TEAM.clear(fold(CARE_TEAM, facts, provenance))
    return clear["organisations"], clear["professionals"]


def index(*facts: Fact) -> Any:
    return fold(PATIENT_INDEX, facts)


def looked_up_by(*facts: Fact) -> list[tuple[str, ...]]:
    return PATIENT_INDEX.looked_up_by(index(*facts))


def test_team_and_leads_have_a_relationship_until_they_leave() -> None:
    joined = ProfessionalJoinedTeam(professional="s1", name="Sam", organisation="rxx")
    assert team(joined, LEAD) == (["RLL", "RXX"], ["k1", "s1"])
    assert team(joined, LEAD, ProfessionalLeftTeam(professional="s1")) == (["RLL"], ["k1"])
    assert team(LEAD, CareLeadEnded(role=LEAD.role, professional="k1")) == ([], [])
    assert team(LEAD, CareLeadEnded(role=LEAD.role, professional="another")) == (["RLL"], ["k1"])


def test_a_successor_ends_the_predecessors_relationship() -> None:
    assert team(LEAD, LEAD.model_copy(update={"professional": "k2", "organisation": None})) == ([], ["k2"])


def test_an_open_pathway_makes_a_relationship_and_a_closed_one_ends_it() -> None:
    assert team(PathwayOpened(organisation="RXX")) == (["RXX"], [])
    assert team(PathwayOpened(organisation="RXX"), PathwayClosed()) == ([], [])


def test_where_the_person_was_referred_and_booked() -> None:
    assert team(ReferralReceived(provider="RXX"), AppointmentBooked(organisation="RYY")) == (["RXX", "RYY"], [])
    assert team(ReferralReceived(provider="RXX"), ReferralRejected()) == ([], [])


def test_who_reported_has_a_relationship_by_the_first_report() -> None:
    reporting = NOBODY.model_copy(update={"organisation": "RZZ"})
    assert team(PathwayClosed(), PathwayClosed(), provenance=reporting) == (["RZZ"], [])
    document = fold(CARE_TEAM, (PathwayClosed(), PathwayClosed()), reporting)
    stream = target_of(PathwayClosed()).stream_id(PATIENT_ID)
    assert document["because"]["organisations"] == {"RZZ": f"{stream}/1"}


def test_what_is_not_an_ods_code_is_nobodys_key() -> None:
    assert team(AppointmentBooked(organisation="St Elsewhere's Hospital")) == ([], [])


def test_a_person_is_found_by_any_family_name_in_any_case_with_the_birth_date() -> None:
    found = looked_up_by(
        DemographicsRecorded(name=Name(family="STRASSE", given=("Avery", "Quinn")), birth_date="1961-04"),
        DemographicsRecorded(name=Name(family=" Straße  Example ", given=("Avery",))),
    )
    assert found == [("strasse example", "1961-04"), ("strasse", "1961-04")]


def test_nothing_that_a_person_is_found_by_stands_in_clear() -> None:
    known = DemographicsRecorded(name=Name(family="Example", given=("Avery",)), birth_date="1961-04")
    assert PATIENT_INDEX.clear(index(known)) == {}


def test_a_restricted_person_is_found_by_no_search() -> None:
    known = DemographicsRecorded(name=Name(family="Example"), birth_date="1961")
    assert looked_up_by(known, RestrictionApplied(code="R")) == []
    assert looked_up_by() == []
    assert looked_up_by(known, RestrictionApplied(code="R"), RestrictionLifted()) == [("example", "1961")]


def test_the_index_says_whether_a_number_is_verified_and_what_is_known_of_death() -> None:
    linked = IdentifierLinked(identifier=Identifier(system=NHS_NUMBER, value="9999999999"), verified=False)
    found = index(linked, DeathReportedInformally())
    assert (found["identifiers"][0]["verified"], found["died"]["value"]) == ("no", "reported-informally")
    assert index()["died"] == {"value": "not-recorded"}


def test_of_merged_records_the_stricter_restriction_holds() -> None:
    told = (RestrictionApplied(code="R"), RestrictionLifted(), RestrictionLifted())
    applied, lifted, lifted_there = recorded([(target_of(fact), fact, day(number)) for number, fact in enumerate(told)])
    elsewhere = lifted_there._replace(patient_id=UUID(int=2), stream_id=UUID(int=2), version=1)
    for events, restricted in (([applied, elsewhere], "yes"), ([applied, lifted, elsewhere], "no")):
        index = fold_all([PATIENT_INDEX], events)["patient_index"]
        assert index["restricted"]["value"] == restricted


OTHER = Identifier(system="/nhs/england/RXX/pas/prod/Patient", value="p-77")
LINKED = LinkReported(kind=LinkKind.REPLACED_BY, identifiers=(OTHER,))
NAMED = DemographicsRecorded(name=Name(family="Specimen"), birth_date="1960-05-01")


def test_a_statement_that_two_records_are_one_stands_open_until_they_are() -> None:
    (told,) = index(NAMED, LINKED)["reported_links"]
    assert (told["kind"], told["identifiers"]) == ("replaced-by", [{"system": OTHER.system, "value": "p-77"}])
    assert looked_up_by(NAMED, LINKED) == [TO_BE_JOINED, ("specimen", "1960-05-01")]
    joined = (NAMED, LINKED, IdentifierLinked(identifier=OTHER))
    assert index(*joined)["reported_links"] == []
    assert looked_up_by(*joined) == [("specimen", "1960-05-01")]


def test_a_statement_that_is_repeated_is_open_once_and_a_restricted_record_is_on_the_list_alone() -> None:
    assert len(index(LINKED, LINKED)["reported_links"]) == 1
    assert looked_up_by(NAMED, LINKED, RestrictionApplied(code="R")) == [TO_BE_JOINED]
    assert looked_up_by(NAMED) == [("specimen", "1960-05-01")]

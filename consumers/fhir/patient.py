"""FHIR Patient (R4, UK Core, PDS): demographics, language, ethnicity, restriction and death."""

from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import Outcome
from consumers.fhir.reading import Reading, codings, concept_words, extension, has_code
from consumers.fhir.subject import patient_at, patient_in, person_name
from consumers.translation import Instruction
from domain.facts import PATIENT, Fact
from domain.linking import LinkKind, LinkReported
from domain.patient import (
    Address,
    DeathRecordedFormally,
    DeathReportedInformally,
    DemographicsRecorded,
    EthnicityRecorded,
    LanguageRecorded,
    RestrictionApplied,
    Telecom,
)
from domain.times import Occurred

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
# Confidentiality as PDS and HL7 code it: restricted, very restricted, sensitive, redacted.
_RESTRICTED = ("R", "V", "S", "REDACTED")
_FORMAL_DEATH = "2"
_LINKS = {kind.value: kind for kind in LinkKind}


def patient(message: Message, resource: Resource) -> Outcome:
    """Nothing to record where only identifiers are told: those join the patient all the same."""
    when = message.versioned_at(resource)
    facts = [_demographics(message, resource), *_language(resource), *_ethnicity(resource), *_restriction(resource)]
    told = [Instruction(PATIENT, fact, when) for fact in facts if fact is not None]
    return (*told, *_links(message, resource, when), *_death(resource, when))


def _links(message: Message, resource: Resource, when: Occurred) -> list[Instruction]:
    """Other records of the same person, where one takes the place of the other; what is only to be looked at beside is
    no statement of that."""
    told = []
    for each in resource.get("link").items():
        kind = _LINKS.get(each.get("type").word() or "")
        other = patient_at(message, each.get("other"), resource) if kind else None
        if kind and other and not set(other.identifiers) & set(patient_in(message, resource).identifiers):
            told.append(Instruction(PATIENT, LinkReported(kind=kind, identifiers=other.identifiers), when))
    return told


def _demographics(message: Message, resource: Resource) -> DemographicsRecorded | None:
    fact = DemographicsRecorded(
        name=person_name(resource),
        birth_date=resource.get("birthDate").partial_date(),
        gender=resource.get("gender").word(),
        addresses=tuple(_address(each) for each in resource.get("address").items() if _is_current(message, each)),
        telecoms=tuple(_telecoms(message, resource)),
        registered_practice=_practice(message, resource),
    )
    return None if fact == DemographicsRecorded() else fact


def _address(place: Reading) -> Address:
    parts = [*place.get("line").items(), place.get("city"), place.get("district"), place.get("state")]
    lines = tuple(dict.fromkeys(words for words in (each.word() for each in parts) if words))
    text = place.get("text").word()
    return Address(
        lines=lines or ((text,) if text else ()),
        postcode=place.get("postalCode").word(),
        use=place.get("use").word(),
    )


def _telecoms(message: Message, resource: Resource) -> list[Telecom]:
    told = []
    for each in resource.get("telecom").items():
        value = each.get("value").word()
        if value and _is_current(message, each):
            told.append(Telecom(system=each.get("system").word(), value=value, use=each.get("use").word()))
    return told


def _is_current(message: Message, place: Reading) -> bool:
    ended = place.get("period", "end").occurred()
    return place.get("use").word() != "old" and (ended is None or ended.at >= message.sender.time.at)


def _practice(message: Message, resource: Resource) -> str | None:
    """The ODS code of the practice, told as an identifier or by an Organization in the message."""
    for each in resource.get("generalPractitioner").items():
        places = [each.get("identifier")]
        found = message.resolve(each, resource)
        if found is not None:
            places.extend(found.get("identifier").items())
        for place in places:
            if (place.get("system").key() or "").casefold() == ODS.casefold():
                return place.get("value").word()
    return None


def _language(resource: Resource) -> list[LanguageRecorded]:
    """UK Core's own extension, else the preferred or first language of communication."""
    told = extension(resource.reading, "Extension-UKCore-NHSCommunication")
    if told:
        language = concept_words(extension(told, "language").get("valueCodeableConcept"))
        needed = extension(told, "interpreterRequired").get("valueBoolean").boolean()
        return [LanguageRecorded(language=language, interpreter_needed=needed)] if language else []
    places = sorted(resource.get("communication").items(), key=lambda each: not each.get("preferred").boolean())
    for each in places:
        language = concept_words(each.get("language"))
        if language:
            needed = extension(resource.reading, "patient-interpreterRequired").get("valueBoolean").boolean()
            return [LanguageRecorded(language=language, interpreter_needed=needed)]
    return []


def _ethnicity(resource: Resource) -> list[EthnicityRecorded]:
    """UK Core only: the categories of other countries are not those that people declare here."""
    place = extension(resource.reading, "Extension-UKCore-EthnicCategory").get("valueCodeableConcept")
    return [EthnicityRecorded(ethnicity=each) for each in (codings(place) if place else ())[:1]]


def _restriction(resource: Resource) -> list[RestrictionApplied]:
    places = resource.get("meta", "security").items()
    told = [each.code for place in places for each in codings(place) if each.code in _RESTRICTED]
    return [RestrictionApplied(code=code) for code in told[:1]]


def _death(resource: Resource, when: Occurred) -> list[Instruction]:
    """Formal only when the registrar's notice is told; otherwise contact pauses and a person looks."""
    place = resource.get("deceasedDateTime")
    if not place and not resource.get("deceasedBoolean").boolean():
        return []
    status = extension(resource.reading, "UKCore-DeathNotificationStatus")
    concept = extension(status, "deathNotificationStatus").get("valueCodeableConcept")
    is_formal = bool(concept) and has_code(concept, _FORMAL_DEATH)
    on = place.partial_date()
    fact: Fact = DeathRecordedFormally(on=on) if is_formal else DeathReportedInformally(on=on)
    return [Instruction(PATIENT, fact, place.occurred() or when)]

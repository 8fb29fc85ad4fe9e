"""How hospital systems word what happened: CloudEvents of the plan's vocabulary, and FHIR R4 from some.

Every message is the same for the same seed, person and day, its id included: sent again, it is known.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import orjson

from domain.appointment import AppointmentAttended, AppointmentBooked, AppointmentNotAttended
from domain.facts import Fact
from domain.pathway import DiagnosisAgreed
from domain.patient import NHS_NUMBER, DemographicsRecorded
from infra.synthetic.course import Course, Happening
from infra.synthetic.hospitals import HOSPITALS, Hospital
from infra.synthetic.people import Person

JSON, FHIR = "application/json", "application/fhir+json"
STRUCTURED = "application/cloudevents+json"
DOCUMENT_SENT = "uk.nhs.cancerplan.document.sent.v1"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
_LATERALITY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality-qualifier"
# Which facts a hospital's systems send as FHIR; everything else is in the plan's own vocabulary.
_IN_FHIR: Mapping[str, tuple[type[Fact], ...]] = {
    HOSPITALS[1].ods: (DiagnosisAgreed,),
    HOSPITALS[2].ods: (DemographicsRecorded, AppointmentBooked, AppointmentAttended, AppointmentNotAttended),
}


class Message(NamedTuple):
    """One CloudEvent; `attributes` without data and content type."""

    attributes: Mapping[str, str]
    content_type: str
    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.attributes["id"]

    @property
    def source(self) -> str:
        return self.attributes["source"]

    def value(self) -> bytes:
        """The data alone, as binary mode carries it."""
        return orjson.dumps(self.data)

    def headers(self) -> list[tuple[str, bytes]]:
        """Of Kafka's binary mode."""
        told = [(f"ce_{name}", value.encode()) for name, value in self.attributes.items()]
        return [*told, ("content-type", self.content_type.encode())]

    def structured(self) -> bytes:
        """Attributes and data in one JSON object."""
        return orjson.dumps({**self.attributes, "datacontenttype": self.content_type, "data": self.data})


def messages(course: Course, seed: int) -> list[Message]:
    """In the order in which the systems send them, which is not the order in which things happened."""
    told = sorted(enumerate(course.happenings), key=lambda each: (each[1].told_at, each[0]))
    return [_message(course, seed, number, happening) for number, happening in told]


def _message(course: Course, seed: int, number: int, happening: Happening) -> Message:
    source = course.hospital.source(happening.system)
    attributes = {
        "specversion": "1.0",
        "id": str(uuid5(NAMESPACE_URL, f"{source}/{seed}/{course.person.index}/{number}")),
        "source": source,
        "time": _instant(happening.moment),
        "recordedtime": _instant(happening.told_at),
    }
    if isinstance(happening.fact, _IN_FHIR.get(course.hospital.ods, ())):
        return Message({**attributes, "type": DOCUMENT_SENT}, FHIR, _bundle(course, happening))
    stored = happening.fact.stored
    attributes |= {"type": f"uk.nhs.cancerplan.{stored}", "dataschema": f"/schemas/{stored}.json"}
    return Message(attributes, JSON, _report(course, happening))


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _report(course: Course, happening: Happening) -> dict[str, Any]:
    """Data of the vocabulary. Members that are not known are left out."""
    person, is_day = course.person, not isinstance(happening.when, datetime)
    told = {
        "patient": {
            "nhs_number": person.nhs_number,
            "identifiers": [{"system": course.hospital.number_system, "value": person.hospital_number}],
            "name": {"family": person.family, "given": list(person.given)},
            "birth_date": person.birth_date.isoformat(),
        },
        "key": happening.key,
        "occurred": happening.when.isoformat() if is_day else None,
        "performer": happening.performer and happening.performer.model_dump(mode="json", exclude_none=True),
        "fact": happening.fact.model_dump(mode="json", exclude_none=True),
    }
    return {name: value for name, value in told.items() if value is not None}


def _bundle(course: Course, happening: Happening) -> dict[str, Any]:
    match happening.fact:
        case DemographicsRecorded():
            resource = _patient(course.person, course.hospital, happening)
        case DiagnosisAgreed() as fact:
            resource = _condition(course, happening, fact)
        case fact:
            resource = _appointment(course, happening, fact)
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]}


def _patient(person: Person, hospital: Hospital, happening: Happening) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "meta": {"lastUpdated": _instant(happening.moment)},
        "identifier": [
            {"system": NHS_NUMBER, "value": person.nhs_number},
            {"system": hospital.number_system, "value": person.hospital_number},
        ],
        "name": [{"use": "official", "family": person.family, "given": list(person.given)}],
        "telecom": [{"system": "phone", "value": person.telephone, "use": "mobile"}],
        "gender": person.gender,
        "birthDate": person.birth_date.isoformat(),
        "address": [
            {"use": "home", "line": [person.street], "city": person.town, "postalCode": person.postcode},
        ],
    }


def _condition(course: Course, happening: Happening, fact: DiagnosisAgreed) -> dict[str, Any]:
    status = "entered-in-error" if happening.withdrawn else "confirmed"
    system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    condition = {
        "resourceType": "Condition",
        "meta": {"lastUpdated": _instant(happening.moment)},
        "identifier": [_identifier(course.hospital, happening)],
        "verificationStatus": {"coding": [{"system": system, "code": status}]},
        "code": {"coding": [{"system": ICD10, "code": fact.icd10, "display": fact.name}], "text": fact.name},
        "subject": _subject(course.person),
        "onsetDateTime": happening.moment.date().isoformat(),
    }
    if fact.laterality is not None:
        side = {"coding": [fact.laterality.model_dump()]}
        condition["bodySite"] = [{"extension": [{"url": _LATERALITY, "valueCodeableConcept": side}]}]
    return condition


def _appointment(course: Course, happening: Happening, fact: Fact) -> dict[str, Any]:
    appointment: dict[str, Any] = {
        "resourceType": "Appointment",
        "meta": {"lastUpdated": _instant(happening.moment)},
        "identifier": [_identifier(course.hospital, happening)],
        "participant": [{"actor": {"type": "Patient", **_subject(course.person)}, "status": "accepted"}],
    }
    if isinstance(fact, AppointmentNotAttended):
        return appointment | {"status": "noshow", "start": _instant(happening.moment)}
    if not isinstance(fact, AppointmentBooked | AppointmentAttended):
        raise TypeError(f"no FHIR wording for {type(fact).__name__}")
    appointment |= {
        "status": "booked" if isinstance(fact, AppointmentBooked) else "fulfilled",
        "start": fact.start and _instant(fact.start),
        "end": fact.end and _instant(fact.end),
        "serviceType": [{"text": fact.kind}],
        "specialty": [{"coding": [fact.specialty.model_dump()]}] if fact.specialty else [],
    }
    appointment["participant"] += list(_others(course.hospital, fact))
    return appointment | ({"created": _instant(happening.moment)} if isinstance(fact, AppointmentBooked) else {})


def _others(hospital: Hospital, fact: AppointmentBooked | AppointmentAttended) -> Iterable[dict[str, Any]]:
    actors = [{"type": "Organization", "display": hospital.ods}, {"type": "Practitioner", "display": fact.clinician}]
    if isinstance(fact, AppointmentBooked) and fact.place:
        actors.append({"type": "Location", "display": fact.place})
    return ({"actor": actor, "status": "accepted"} for actor in actors)


def _identifier(hospital: Hospital, happening: Happening) -> dict[str, Any]:
    """Keys of one hospital mean the same in all its systems, whichever language they speak."""
    return {"system": f"/nhs/england/{hospital.ods}", "value": happening.key}


def _subject(person: Person) -> dict[str, Any]:
    return {"identifier": {"system": NHS_NUMBER, "value": person.nhs_number}}

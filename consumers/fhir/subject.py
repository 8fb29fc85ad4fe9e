"""Whom a resource is about: from the Patient in the message, an identifier, or a reference that the source owns."""

from consumers.fhir.message import NHS_NUMBER_SYSTEMS, URI, Message, Name, Resource, is_uuid, kind_of, name_of
from consumers.fhir.reading import Reading
from domain.identity import PatientReference, identifier
from domain.patient import NHS_NUMBER, Identifier
from domain.patient import Name as PersonName

_SEND = "send a reference to the patient, or the patient's identifier with its system"


def subject_of(message: Message, resource: Resource) -> PatientReference:
    """Of the member `subject`, or `patient` where the type or the release calls it so. Refuses when nobody is named."""
    place = resource.reading.first("subject", "patient")
    found = patient_at(message, place, resource)
    if found is not None:
        return found
    if kind_of(place) == "Group":
        raise place.refusal(
            "no-patient", "the subject is a group, not one person", "send one resource for each patient"
        )
    says = "names nobody: it has neither a reference nor an identifier" if place else "is absent, so nobody is named"
    raise place.refusal("no-patient", f"this field {says}", _SEND)


def patient_at(message: Message, place: Reading, within: Resource) -> PatientReference | None:
    """Whom a Reference names; None when it names nobody, or something else than a patient."""
    found = message.resolve(place, within)
    if found is not None:
        return patient_in(message, found) if found.kind == "Patient" else None
    if kind_of(place) not in (None, "Patient"):
        return None
    told = [_identifier(message, place.get("identifier"))]
    name = name_of(place)
    told.extend(_local(message, name) if name else [])
    identifiers = tuple(dict.fromkeys(each for each in told if each is not None))
    return PatientReference(identifiers=identifiers) if identifiers else None


def patient_in(message: Message, patient: Resource) -> PatientReference:
    """All that a Patient resource says of who it is. Refuses one with neither identifier nor id."""
    numbers = (each for each in patient.get("identifier").items() if each.get("use").word() != "old")
    told = [_identifier(message, each) for each in numbers]
    if patient.id:
        told.extend(_local(message, Name(patient.id, "Patient")))
    address = _at(patient)
    told.extend(_local(message, address) if address else [])
    identifiers = tuple(dict.fromkeys(each for each in told if each is not None))
    if not identifiers:
        raise patient.get("identifier").refusal(
            "no-identifier",
            "a patient without any identifier or id cannot be matched: nobody is matched by name alone",
            "send the NHS number or the hospital's own number with its system",
        )
    birth_date = patient.get("birthDate").partial_date()
    return PatientReference(identifiers=identifiers, name=person_name(patient), birth_date=birth_date)


def person_name(patient: Resource) -> PersonName | None:
    """The official or usual name, else the first that is not an old one; None when no part of it is told."""
    ranks = {"official": 0, "usual": 1, "old": 9, "maiden": 8, "temp": 7}
    places = sorted(patient.get("name").items(), key=lambda place: ranks.get(place.get("use").word() or "", 2))
    for place in places:
        name = PersonName(
            family=" ".join(_words(place.get("family"))) or None,
            given=tuple(_words(place.get("given"))),
            prefix=" ".join(_words(place.get("prefix"))) or None,
            text=place.get("text").word(),
        )
        if name.family or name.given or name.text:
            return name
    return None


def _words(place: Reading) -> list[str]:
    """A string, or several: the second release of FHIR let family names repeat."""
    places = [place] if isinstance(place.value, str) else place.items()
    return [words for words in (each.word() for each in places) if words]


def _identifier(message: Message, place: Reading) -> Identifier | None:
    value = place.get("value").key()
    if value is None:
        return None
    system = place.get("system").key()
    if system is None:
        return Identifier(system=f"{message.sender.source}/Patient/identifier", value=value)
    if system not in NHS_NUMBER_SYSTEMS:
        return identifier(system, value, message.sender.source)
    if not any(letter.isdigit() for letter in value):
        raise place.get("value").refusal(
            "invalid-identifier",
            "an NHS number has ten digits; this has none and looks like a place to be filled in",
            "send the number, or leave the identifier out",
        )
    return identifier(NHS_NUMBER, value, message.sender.source)


def _local(message: Message, name: Name) -> list[Identifier]:
    """A number of the source's own means something at that source only; a UUID is the same everywhere."""
    base = name.base or message.sender.source
    if name.base and name.base.rstrip("/").endswith("personal-demographics/FHIR/R4"):
        return [identifier(NHS_NUMBER, name.id, message.sender.source)]
    told = [Identifier(system=f"{base}/Patient", value=name.id)]
    if is_uuid(name.id):
        told.append(Identifier(system=URI, value=f"urn:uuid:{name.id.casefold()}"))
    return told


def _at(patient: Resource) -> Name | None:
    return name_of(Reading({"reference": patient.full_url})) if patient.full_url else None

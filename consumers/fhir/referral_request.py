"""ReferralRequest of the NHS e-Referral Service (STU3): a referral received, and what came of it."""

from collections.abc import Iterable

from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import Outcome
from consumers.fhir.reading import Reading, codings, concept_words, extension
from consumers.fhir.service_request import UBRN, priority, ubrn_of
from consumers.translation import Instruction
from domain.facts import Category, Target, scoped_key
from domain.referral import ReferralCancelled, ReferralReceived, ReferralRejected, ReferralTriaged
from domain.times import Occurred

# Reasons that e-RS files under the patient, and those that only a referrer can give.
_BY_PATIENT = ("INTEND_PRIVATE", "PATIENT_DIED", "PATIENT_REQUEST_CANCELLATION_OTHER", "TREATMENT_NO_LONGER_REQUIRED")
_BY_REFERRER = ("REFERRER_CANCELLATION", "RAISED_IN_ERROR")
_BY_PROVIDER = ("PROVIDER_CANCELLATION", "SERVICE_INAPPROPRIATE", "TRIAGE_ENDED")


def referral_request(message: Message, resource: Resource) -> Outcome:
    """Received when the pathway started, which e-RS tells; the state adds whether it was rejected or cancelled."""
    ubrn = ubrn_of(resource)
    if ubrn is None:
        raise resource.get("id").missing("send the UBRN as the id of the ReferralRequest")
    target = Target(Category.REFERRAL, scoped_key(UBRN, ubrn))
    now = message.versioned_at(resource)
    status = resource.get("status").key()
    if status == "entered-in-error":
        return (Instruction(target, message.retraction(resource), now),)
    if status == "draft":
        return "a referral that is only drafted"
    started = _extension(resource, "eReferralPathwayStart").get("valueInstant").occurred()
    answers = _answers(resource, target, status, now)
    if answers and started is None:
        return tuple(answers)  # when it was received is not told, and the day of its end would be wrong
    return (Instruction(target, _received(resource, ubrn), started or now), *answers)


def _received(resource: Resource, ubrn: str) -> ReferralReceived:
    criteria = {each.get("name").text(): each for each in _search_criteria(resource)}
    stated = _extension(resource, "ReferralPriority").get("valueCodeableConcept")
    code = next((each.code for each in codings(stated)), None) if stated else None
    named = criteria.get("clinicalTerm", Reading(None)).get("valueCoding")
    return ReferralReceived(
        ubrn=ubrn,
        priority=priority(code),
        authored_at=resource.get("authoredOn").instant(),
        provider=_extension(resource, "Commissioning-Rule-Org").get("valueIdentifier", "value").word(),
        specialty=next(iter(codings(resource.get("specialty"))), None),
        services=tuple(_services(resource)),
        reasons=codings(named) if named else (),
        description=resource.get("description").text(),
    )


def _answers(resource: Resource, target: Target, status: str | None, now: Occurred) -> list[Instruction]:
    state = _extension(resource, "ReferralState")
    code = next((each.code for each in codings(_part(state, "state"))), "") if state else ""
    why = _part(state, "reason")
    comments = extension(state, "comments").get("valueString").text()
    words = " — ".join(each for each in (concept_words(why) if why else None, comments) if each) or None
    if status == "cancelled" or code == "CANCELLED_REFERRAL":
        reasons = [each.code for each in codings(why)] if why else []
        return [Instruction(target, ReferralCancelled(by=_by(reasons), reason=words), now)]
    if code == "REJECTED":
        return [Instruction(target, ReferralRejected(reason=words), now)]
    if code.startswith("RETURNED"):
        return [Instruction(target, ReferralTriaged(outcome=code, comment=words), now)]
    return []


def _by(reasons: Iterable[str]) -> str | None:
    for code in reasons:
        if code in _BY_PATIENT:
            return "patient"
        if code in _BY_REFERRER:
            return "referrer"
        if code in _BY_PROVIDER:
            return "provider"
    return None


def _part(state: Reading, name: str) -> Reading:
    return extension(state, name).get("valueCoding")


def _extension(resource: Resource, name: str) -> Reading:
    return extension(resource.reading, f"eRS-{name}-1")


def _contained(resource: Resource, kind: str) -> list[Reading]:
    return [each for each in resource.get("contained").items() if each.get("resourceType").text() == kind]


def _search_criteria(resource: Resource) -> list[Reading]:
    return [place for each in _contained(resource, "Parameters") for place in each.get("parameter").items()]


def _services(resource: Resource) -> Iterable[str]:
    for shortlist in _contained(resource, "List"):
        for entry in shortlist.get("entry").items():
            name = entry.get("item", "display").word() or entry.get("item", "identifier", "value").word()
            if name:
                yield name

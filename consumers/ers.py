"""NHS e-Referral Service (STU3): ReferralRequest, and the Parameters of its calls.

Only what e-RS answers is a fact. The body of a call is what someone asks of e-RS, which may say no; it has no UBRN yet,
or leaves it to the address of the call.
"""

from collections.abc import Iterable

from consumers.fhir_message import Message, Resource
from consumers.fhir_pathway import Outcome
from consumers.fhir_reading import Reading, codings, concept_words, extension
from consumers.fhir_service_request import UBRN, priority, ubrn_of
from consumers.translation import Instruction, Refusal
from domain.annotation import Retract
from domain.facts import Category, Target, scoped_key
from domain.referral import ReferralCancelled, ReferralReceived, ReferralRejected, ReferralTriaged
from domain.times import Occurred

# Reasons that e-RS files under the patient, and those that only a referrer can give.
_BY_PATIENT = ("INTEND_PRIVATE", "PATIENT_DIED", "PATIENT_REQUEST_CANCELLATION_OTHER", "TREATMENT_NO_LONGER_REQUIRED")
_BY_REFERRER = ("REFERRER_CANCELLATION", "RAISED_IN_ERROR")
_BY_PROVIDER = ("PROVIDER_CANCELLATION", "SERVICE_INAPPROPRIATE", "TRIAGE_ENDED")
_CALLS = {
    "eRS-Create": "create a referral",
    "eRS-ChangeShortlist": "change the services of a referral",
    "eRS-CancelReferral": "cancel a referral",
    "eRS-RecordReviewOutcome": "record the outcome of a triage",
    "eRS-": "act on a referral",
}


def referral_request(message: Message, resource: Resource) -> Outcome:
    """Received when the pathway started, which e-RS tells; the state adds whether it was rejected or cancelled."""
    ubrn = ubrn_of(resource)
    if ubrn is None:
        raise resource.get("id").missing("send the UBRN as the id of the ReferralRequest")
    target = Target(Category.REFERRAL, scoped_key(UBRN, ubrn))
    now = message.versioned_at(resource)
    status = resource.get("status").key()
    if status == "entered-in-error":
        return (Instruction(target, Retract(), now),)
    if status == "draft":
        return "a referral that is only drafted"
    started = _extension(resource, "eReferralPathwayStart").get("valueInstant").occurred()
    answers = _answers(resource, target, status, now)
    if answers and started is None:
        return tuple(answers)  # when it was received is not told, and the day of its end would be wrong
    return (Instruction(target, _received(resource, ubrn), started or now), *answers)


def refuse_call(parameters: Resource) -> Refusal:
    """What is wrong with a Parameters resource that holds no referral or appointment."""
    told = " ".join(place.text() or "" for place in parameters.get("meta", "profile").items())
    call = next((words for name, words in _CALLS.items() if name in told), None)
    if call is None:
        return parameters.get("parameter").refusal(
            "unknown-parameters",
            "parameters of an operation that is not known here",
            "send the resources that the operation answers with",
        )
    names = {each.get("name").text() for each in parameters.get("parameter").items()}
    lacks = "has no UBRN yet" if "patient" in names else "names neither the referral (its UBRN) nor the patient"
    return parameters.get("parameter").refusal(
        "call-not-a-fact",
        f"this asks e-RS to {call}; it {lacks}, and e-RS may refuse it",
        "send the ReferralRequest or Appointment that e-RS answers with",
    )


def answered(parameters: Resource) -> list[Reading]:
    """The resources inside the Parameters with which e-RS answers a call: a referral and its appointment."""
    places = (each.get("resource") for each in parameters.get("parameter").items())
    kinds = ("ReferralRequest", "Appointment")
    return [each for each in places if isinstance(each.value, dict) and each.value.get("resourceType") in kinds]


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

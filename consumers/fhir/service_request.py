"""FHIR ServiceRequest: a referral of the patient, or an investigation asked for because of a cancer."""

from consumers.fhir.message import Message, Resource, name_of
from consumers.fhir.pathway import About, Outcome, link, sole_cancer
from consumers.fhir.reading import Reading, all_codings, codings, concept_words
from consumers.fhir.subject import subject_of
from consumers.translation import Instruction
from domain.cancer_codes import SNOMED
from domain.facts import Category, Coding, Target, scoped_key
from domain.pathway import InvestigationRequested
from domain.referral import Priority, ReferralCancelled, ReferralReceived

UBRN = "https://fhir.nhs.uk/Id/UBRN"
_UBRN_SYSTEMS = (UBRN, "http://fhir.nhs.net/Id/UBRN", "https://fhir.nhs.uk/Id/ubrn")
_REFERRAL_CODES = ("referral", "3457005", "306206005", "103696004")
# Laboratory, imaging and diagnostic procedures, as categories or codes of SNOMED CT and of the examples of R4.
_INVESTIGATIONS = ("108252007", "363679005", "103693007", "laboratory", "imaging", "LAB", "RAD")
_PRIORITIES = {
    "routine": Priority.ROUTINE,
    "urgent": Priority.URGENT,
    "asap": Priority.URGENT,
    "stat": Priority.EMERGENCY,
    "two_week_wait": Priority.URGENT_SUSPECTED_CANCER,
}


def service_request(message: Message, resource: Resource) -> Outcome:
    status = resource.get("status").key()
    if status == "draft" or resource.get("intent").key() in ("proposal", "option", "filler-order"):
        return "a request that is only proposed or drafted"
    told = all_codings([*resource.get("category").items(), resource.get("code")])
    if not told:
        raise resource.get("category").missing("send the category of the request, such as referral")
    if any(each.code in ("advice-and-guidance", "advice") for each in told):
        return "a request for advice: nobody is referred and no clock starts; a conversion comes with its own UBRN"
    if _is_referral(told) or ubrn_of(resource) is not None:
        return _referral(message, resource, status)
    if any(each.code in _INVESTIGATIONS for each in told):
        return _investigation(message, resource, status)
    return "a request for something else than a referral or an investigation"


def priority(code: str | None) -> Priority | None:
    """Of an R4 request priority or an e-RS priority code; None for a code that is none of them."""
    return None if code is None else _PRIORITIES.get(code.casefold())


def ubrn_of(resource: Resource) -> str | None:
    for each in resource.get("identifier").items():
        if each.get("system").key() in _UBRN_SYSTEMS:
            return each.get("value").key()
    return resource.id if resource.kind == "ReferralRequest" else None


def referral_key(message: Message, resource: Resource) -> str:
    """By its UBRN, which is one whatever route it came by; else as the source names it."""
    ubrn = ubrn_of(resource)
    return message.key_of(resource) if ubrn is None else scoped_key(UBRN, ubrn)


def referral_key_at(message: Message, reference: Reading, within: Resource) -> str | None:
    """The key of the referral that a reference names. An e-RS ReferralRequest has its UBRN as id."""
    found = message.resolve(reference, within)
    if found is not None:
        return referral_key(message, found)
    name = name_of(reference)
    if name is not None and name.kind == "ReferralRequest":
        return scoped_key(UBRN, name.id)
    return message.key_of_reference(reference, "ServiceRequest", within)


def _is_referral(told: tuple[Coding, ...]) -> bool:
    return any(each.code in _REFERRAL_CODES for each in told)


def _referral(message: Message, resource: Resource, status: str | None) -> Outcome:
    target = Target(Category.REFERRAL, referral_key(message, resource))
    when = message.versioned_at(resource)
    if status == "entered-in-error":
        return (Instruction(target, message.retraction(resource), when),)
    if status == "revoked":
        reason = concept_words(resource.get("statusReason")) if resource.get("statusReason") else None
        return (Instruction(target, ReferralCancelled(reason=reason), when),)
    requester = resource.get("requester")
    performers = [message.name_of_actor(each, resource) for each in resource.get("performer").items()]
    fact = ReferralReceived(
        ubrn=ubrn_of(resource),
        priority=priority(resource.get("priority").key()),
        authored_at=resource.get("authoredOn").instant(),
        referrer=message.name_of_actor(requester, resource),
        provider=next((each for each in performers if each), None),
        specialty=next(iter(codings(resource.get("performerType"))), None),
        services=tuple(each for each in performers if each),
        reasons=all_codings(resource.get("reasonCode").items()),
        description=next((words for words in map(_note, resource.get("note").items()) if words), None),
    )
    return (Instruction(target, fact, when, message.agent(requester, resource)),)


def _investigation(message: Message, resource: Resource, status: str | None) -> Outcome:
    told = link(message, resource.get("reasonReference").items(), resource)
    coded = message.codes.cancer(all_codings(resource.get("reasonCode").items()))
    if told.about is not About.CANCER and coded is None:
        return "an investigation without a cancer as its reason"
    if status == "entered-in-error":
        raise resource.get("status").withdrawal("request", "a pathway")
    if status == "revoked":
        return "a request for an investigation that was taken back"
    target = told.target or sole_cancer(message, subject_of(message, resource))
    code = resource.get("code")
    snomed = (each for each in codings(code) if each.system == SNOMED)
    fact = InvestigationRequested(
        investigation=message.key_of(resource),
        code=next(snomed, None) or next(iter(codings(code)), None),
        name=concept_words(code),
    )
    when = resource.get("authoredOn").occurred() or message.versioned_at(resource)
    return (Instruction(target, fact, when, message.agent(resource.get("requester"), resource)),)


def _note(note: Reading) -> str | None:
    return note.get("text").text()

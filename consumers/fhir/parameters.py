"""Parameters of the calls of the NHS e-Referral Service (STU3), and of their answers.

Only what e-RS answers is a fact. The body of a call is what someone asks of e-RS, which may say no; it has no UBRN yet,
or leaves it to the address of the call.
"""

from consumers.fhir.message import Resource
from consumers.fhir.reading import Reading
from consumers.translation import Refusal

_CALLS = {
    "eRS-Create": "create a referral",
    "eRS-ChangeShortlist": "change the services of a referral",
    "eRS-CancelReferral": "cancel a referral",
    "eRS-RecordReviewOutcome": "record the outcome of a triage",
    "eRS-": "act on a referral",
}


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

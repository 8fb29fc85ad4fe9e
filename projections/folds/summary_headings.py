"""The sixteen headings of an end-of-treatment summary, and who could fill those that no event fills."""

from typing import NamedTuple


class Heading(NamedTuple):
    """`given_by` is the role that could give what is missing."""

    key: str
    title: str
    given_by: str


HEADINGS = (
    Heading("person-and-gp", "The person and their GP", "the practice's or hospital's registration staff"),
    Heading("diagnosis", "Diagnosis", "the consultant"),
    Heading("date-of-diagnosis", "Date of diagnosis", "the consultant"),
    Heading("site-and-staging", "Site and staging", "the multidisciplinary team"),
    Heading("treatments", "Treatments and their dates", "the treating team"),
    Heading("aim-of-treatment", "Aim of treatment", "the treating consultant"),
    Heading("possible-effects", "Possible effects, early and late", "the treating consultant"),
    Heading("alert-symptoms", "Symptoms to report", "the cancer nurse specialist"),
    Heading("who-to-call", "Who to call", "the cancer nurse specialist"),
    Heading("ongoing-hospital-plan", "Tests and appointments to come", "the treating team"),
    Heading("gp-actions", "What the GP is asked to do", "the treating consultant"),
    Heading("other-referrals", "Other referrals made", "the treating team"),
    Heading("benefits", "Benefits forms, prescription exemption, palliative register", "the support worker or GP"),
    Heading("information-given", "Information given", "the cancer nurse specialist"),
    Heading("support", "Lifestyle, support and next steps", "the care lead"),
    Heading("completed-by", "Completed by", "the clinician who signs the summary"),
)

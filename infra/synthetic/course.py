"""One invented person's course of care, told as facts with their times, phase by phase.

Every phase adds what its hospital would report; what would happen after `today` is not told.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import NamedTuple

from domain import care_plan, pathway, patient, referral
from domain.appointment import (
    AppointmentAttended,
    AppointmentBooked,
    AppointmentNotAttended,
    AppointmentOutcomeRecorded,
    Medium,
)
from domain.facts import Agent, Coding, Fact
from domain.times import LONDON
from infra.synthetic.hospitals import CONSULTANT, LEFT, PRACTICE, RIGHT, Hospital, Site
from infra.synthetic.people import Person

PAS, CIS = "pas", "cis"
SHARE_LATE = 0.03
NOON = time(12, 0)
_UNTIL_MONDAY = {6: 2, 7: 1}
ETHNIC_CATEGORIES = "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategory"


class Happening(NamedTuple):
    """`when` is a date where only the day is known; `system` is which of the hospital's systems reports it, `late`
    how many days it takes to do so. `withdrawn`: the system says that its own record of this fact was an error."""

    fact: Fact
    when: date | datetime
    system: str
    key: str | None = None
    performer: Agent | None = None
    late: int = 0
    withdrawn: bool = False

    @property
    def told_at(self) -> datetime:
        return self.moment + timedelta(days=self.late, minutes=5)

    @property
    def moment(self) -> datetime:
        if isinstance(self.when, datetime):
            return self.when
        return datetime.combine(self.when, NOON, tzinfo=LONDON)


@dataclass
class Course:
    """`start` is the day of referral, `today` the last day that is told; `key` names this pathway at its source."""

    person: Person
    hospital: Hospital
    site: Site
    start: date
    today: date
    chance: Random
    key: str
    happenings: list[Happening] = field(default_factory=list)

    def day(self, after: int) -> date:
        return self.start + timedelta(days=after)

    def clock(self, after: int, hour: int, minute: int = 0) -> datetime:
        """A time of a working day: what falls on a weekend waits for Monday."""
        day = self.day(after)
        day += timedelta(days=_UNTIL_MONDAY.get(day.isoweekday(), 0))
        return datetime.combine(day, time(hour, minute), tzinfo=LONDON)

    def tell(
        self, fact: Fact, when: date | datetime, system: str = CIS, key: str | None = None, by: Agent | None = None
    ) -> None:
        late = self.chance.randint(1, 9) if self.chance.random() < SHARE_LATE else 0
        self.add(Happening(fact, when, system, key, by, late))

    def add(self, happening: Happening) -> None:
        if happening.moment.date() <= self.today:
            self.happenings.append(happening)

    def on_pathway(self, fact: Fact, when: date | datetime, by: Agent | None = None) -> None:
        self.tell(fact, when, CIS, self.key, by)

    @property
    def laterality(self) -> Coding | None:
        return (LEFT, RIGHT)[self.person.index % 2] if self.site.paired else None


def register(course: Course) -> None:
    """Demographics, language and the self-declared ethnicity, from patient administration."""
    person, when = course.person, course.clock(0, 9)
    course.tell(demographics(person), when, PAS)
    spoken = patient.LanguageRecorded(language=person.language, interpreter_needed=person.interpreter_needed)
    course.tell(spoken, when, PAS)
    declared = Coding(system=ETHNIC_CATEGORIES, code=person.ethnicity, display=person.ethnicity_name)
    course.tell(patient.EthnicityRecorded(ethnicity=declared, self_declared=True), when, PAS)


def demographics(person: Person) -> patient.DemographicsRecorded:
    return patient.DemographicsRecorded(
        name=patient.Name(family=person.family, given=person.given),
        birth_date=person.birth_date.isoformat(),
        gender=person.gender,
        addresses=(patient.Address(lines=(person.street, person.town), postcode=person.postcode, use="home"),),
        telecoms=(patient.Telecom(system="phone", value=person.telephone, use="mobile"),),
        registered_practice=PRACTICE,
    )


def refer(course: Course) -> None:
    """An urgent suspected cancer referral by the GP, accepted and triaged; the pathway opens."""
    received = course.clock(0, 10, 20)
    told = referral.ReferralReceived(
        priority=referral.Priority.URGENT_SUSPECTED_CANCER,
        source_of_referral="03",
        authored_at=received - timedelta(minutes=35),
        referrer=PRACTICE,
        provider=course.hospital.ods,
        specialty=course.site.specialty,
        description=course.site.suspicion,
        patient_told=True,
    )
    course.tell(told, received, PAS, course.key)
    accepted = referral.ReferralAccepted(provider=course.hospital.ods)
    course.tell(accepted, course.clock(1, 9, 30), PAS, course.key)
    course.tell(referral.ReferralTriaged(outcome="straight to test"), course.clock(2, 11), PAS, course.key)
    course.on_pathway(pathway.PathwayOpened(tumour_site=course.site.name, organisation=course.hospital.ods), received)
    course.on_pathway(pathway.CancerSuspected(tumour_site=course.site.name), received)


def join_team(course: Course) -> None:
    for each in (CONSULTANT, course.hospital.nurse):
        joined = patient.ProfessionalJoinedTeam(
            professional=each.identifier,
            name=each.name,
            role=each.role,
            organisation=each.organisation,
            telephone=each.telephone,
        )
        course.tell(joined, course.clock(2, 14), CIS)


def book(course: Course, name: str, made: int, held: int, kind: str, medium: Medium = Medium.FACE_TO_FACE) -> datetime:
    """Books `kind` on day `made` for day `held`; the same name again is another time for the same appointment."""
    start = course.clock(held, 9 + course.chance.randrange(7), course.chance.choice((0, 20, 40)))
    booked = AppointmentBooked(
        start=start,
        end=start + timedelta(minutes=30),
        told_how="letter",
        specialty=course.site.specialty,
        kind=kind,
        medium=medium,
        organisation=course.hospital.ods,
        place=course.hospital.place if medium is Medium.FACE_TO_FACE else None,
        clinician=CONSULTANT.name,
        description=course.site.specialty.display,
    )
    course.tell(booked, course.clock(made, 15, 10), PAS, f"{course.key}-{name}")
    return start


def attend(course: Course, name: str, start: datetime, kind: str, outcome: str) -> None:
    attended = AppointmentAttended(
        start=start,
        end=start + timedelta(minutes=35),
        specialty=course.site.specialty,
        kind=kind,
        organisation=course.hospital.ods,
        clinician=CONSULTANT.name,
    )
    key = f"{course.key}-{name}"
    course.tell(attended, start, PAS, key)
    course.tell(AppointmentOutcomeRecorded(outcome=outcome), start + timedelta(minutes=40), PAS, key)


def see(course: Course, name: str, made: int, held: int, kind: str, outcome: str) -> None:
    """One appointment in three is moved beforehand, and one in eight is missed and booked again."""
    luck = course.chance.random()
    start = book(course, name, made, held, kind)
    if luck < 0.33:
        start = book(course, name, made + 2, held + 2, kind)
    elif luck > 0.87:
        course.tell(AppointmentNotAttended(), start, PAS, f"{course.key}-{name}")
        start = book(course, name, held + 1, held + 5, kind)
    attend(course, name, start, kind, outcome)


def investigate(course: Course, from_day: int) -> int:
    """Each investigation requested, performed, reported and acknowledged; returns the day after the last report."""
    day = from_day
    for key, name, result in course.site.investigations:
        requested = pathway.InvestigationRequested(investigation=key, name=name)
        course.on_pathway(requested, course.clock(day, 11), CONSULTANT.agent)
        course.on_pathway(pathway.InvestigationPerformed(investigation=key, name=name), course.clock(day + 4, 13))
        reported = pathway.InvestigationReported(investigation=key, name=name, result=result)
        course.on_pathway(reported, course.clock(day + 6, 16))
        seen = pathway.ResultAcknowledgedByClinician(investigation=key, professional=CONSULTANT.identifier)
        course.on_pathway(seen, course.clock(day + 7, 9), CONSULTANT.agent)
        day += 5
    return day + 3


def diagnose(course: Course, day: int) -> None:
    agreed = pathway.DiagnosisAgreed(
        icd10=course.site.icd10, name=course.site.diagnosis, laterality=course.laterality, basis="histology"
    )
    course.on_pathway(agreed, course.day(day), CONSULTANT.agent)


def inform(course: Course, day: int, *what: str) -> None:
    """Someone told the patient, face to face with the nurse specialist present."""
    told = pathway.InformedOfOutcome(
        told=tuple(pathway.Told(what=each) for each in what),
        method="face to face",
        professional=CONSULTANT.identifier,
        nurse_specialist_present="yes",
    )
    course.on_pathway(told, course.clock(day, 15, 30), CONSULTANT.agent)
    end = {"diagnosis": "01", "ruled-out": "02"}.get(what[0])
    if end is not None:
        course.on_pathway(pathway.FasterDiagnosisEnded(end_reason=end), course.clock(day, 15, 45))


def name_lead(course: Course, day: int) -> None:
    nurse, role = course.hospital.nurse, patient.CareLeadRole.CANCER_NURSE_SPECIALIST
    named = patient.CareLeadNamed(
        role=role,
        professional=nurse.identifier,
        name=nurse.name,
        organisation=nurse.organisation,
        telephone=nurse.telephone,
    )
    course.tell(named, course.clock(day, 16), CIS, by=nurse.agent)
    told = patient.PatientToldOfCareLead(role=role, professional=nurse.identifier)
    course.tell(told, course.clock(day, 16, 15), CIS, by=nurse.agent)


def stage(course: Course, day: int) -> None:
    course.on_pathway(pathway.StagedBeforeTreatment(findings=_findings(course), edition="UICC 8"), course.day(day))
    scored = pathway.PerformanceStatusAssessed(scale="ECOG", value=str(course.chance.choice((0, 0, 1, 1, 2))))
    course.on_pathway(scored, course.day(day), CONSULTANT.agent)


def _findings(course: Course) -> tuple[pathway.StageFinding, ...]:
    axes = zip(("T", "N", "M", "group"), course.site.stage, strict=True)
    return tuple(pathway.StageFinding(axis=axis, value=value) for axis, value in axes if value != "not applicable")


def decide(course: Course, day: int) -> None:
    """The multidisciplinary meeting, then the decision to treat, of which the patient is told the day after."""
    first = course.site.treatments[0]
    recommended = f"{first.name}, then review"
    discussed = pathway.DiscussedAtMdt(meeting=course.site.name, recommendation=recommended, intent=first.intent)
    course.on_pathway(discussed, course.clock(day, 8, 30), CONSULTANT.agent)
    agreed = pathway.DecisionToTreatAgreed(modality=first.modality, intent=first.intent)
    course.on_pathway(agreed, course.day(day + 2), CONSULTANT.agent)
    inform(course, day + 2, "treatment-plan", "stage")


def treat(course: Course, decided: int) -> int:
    """Every treatment of the site in turn; returns the day on which the last one that ends within a year ended."""
    last = decided
    for number, each in enumerate(course.site.treatments):
        began = decided + each.after_days
        started = pathway.TreatmentStarted(
            treatment=each.key,
            modality=each.modality,
            intent=each.intent,
            event_type="01" if number == 0 else "02",
            name=each.name,
            organisation=course.hospital.ods,
        )
        course.on_pathway(started, course.day(began), CONSULTANT.agent)
        if each.lasts_days < 365:
            ended = pathway.TreatmentEnded(treatment=each.key, modality=each.modality)
            last = began + each.lasts_days
            course.on_pathway(ended, course.day(last), CONSULTANT.agent)
    return last


def end_phase(course: Course, day: int) -> None:
    """A clinician ends the phase: the integrated stage, the route of follow-up, and an appointment to come."""
    course.on_pathway(pathway.StagedIntegrated(findings=_findings(course), edition="UICC 8"), course.day(day))
    phase = pathway.TreatmentPhaseEnded(phase="primary treatment", professional=CONSULTANT.identifier)
    course.on_pathway(phase, course.day(day + 5), CONSULTANT.agent)
    route = course.chance.choice(("supported self-management", "clinician-led"))
    due = course.today + timedelta(days=90)
    course.on_pathway(pathway.FollowUpStratified(route=route, next_due=due), course.clock(day + 6, 10))
    ahead = (course.today - course.start).days + 12
    book(course, "follow-up", day + 7, ahead, "Follow-up", course.chance.choice(tuple(Medium)))


def rule_out(course: Course, day: int) -> None:
    course.on_pathway(pathway.CancerRuledOut(reason="No malignancy found"), course.clock(day, 10), CONSULTANT.agent)
    inform(course, day + 2, "ruled-out")
    course.on_pathway(pathway.PathwayClosed(reason="Cancer ruled out"), course.clock(day + 3, 9))


def recur(course: Course, day: int) -> None:
    back = pathway.CancerRecurred(extent="local")
    course.on_pathway(back, course.day(day), CONSULTANT.agent)
    inform(course, day + 3, "recurrence")
    offered = care_plan.AssessmentOffered(point=care_plan.PathwayPoint.RECURRENCE, staff_role="nurse")
    course.tell(offered, course.clock(day + 4, 10), CIS, by=course.hospital.nurse.agent)

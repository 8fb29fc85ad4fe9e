"""The other half of an invented course of care: assessments, needs, goals, actions and support."""

from collections.abc import Sequence
from typing import NamedTuple

from domain import care_plan
from domain.care_plan import PathwayPoint
from infra.synthetic.course import Course


class Concern(NamedTuple):
    """What worries someone, in words of theirs, and what is agreed about it."""

    code: str
    words: str
    goal: str
    action: str
    owner: str
    service: str


CONCERNS = (
    Concern(
        "money-or-finance",
        "I am not paid when I am off sick.",
        "Know what I am entitled to",
        "Meet the benefits adviser",
        "Benefits adviser",
        "Riverbank benefits and money advice",
    ),
    Concern(
        "sleep-problems",
        "I lie awake most nights.",
        "Sleep through three nights a week",
        "Try the sleep course and keep a diary",
        "Patient",
        "Restful Nights online course",
    ),
    Concern(
        "worry-fear-or-anxiety",
        "I keep thinking it will come back.",
        "Be able to talk about it at home",
        "Six sessions of counselling",
        "Counsellor",
        "Lantern House counselling",
    ),
    Concern(
        "tiredness",
        "I am worn out by midday.",
        "Walk to the market and back again",
        "Join the Tuesday walking group",
        "Patient",
        "Strides walking group",
    ),
    Concern(
        "work-and-education",
        "My employer wants to know when I am back.",
        "Go back to work for half days",
        "Write to the employer together",
        "Cancer nurse specialist",
        "Workwise return-to-work support",
    ),
    Concern(
        "eating-appetite-or-taste",
        "Everything tastes of metal.",
        "Keep my weight steady",
        "See the dietitian",
        "Dietitian",
        "Hospital dietetics",
    ),
)
LANGUAGE_SUPPORT = Concern(
    "communication",
    "I understand better in my own language.",
    "Understand what the doctors say",
    "Book an interpreter for every appointment",
    "Cancer nurse specialist",
    "Open Door community cancer support",
)


def offer_support(course: Course, day: int) -> None:
    """At diagnosis: an assessment is offered, a charity is named, information is given."""
    nurse = course.hospital.nurse.agent
    offered = care_plan.AssessmentOffered(point=PathwayPoint.DIAGNOSIS, staff_role="nurse")
    course.tell(offered, course.clock(day, 16, 30), by=nurse)
    charity = care_plan.SupportOffered(
        support="charity", service="Harbour Cancer Support charity", contact="01632 960300"
    )
    course.tell(charity, course.clock(day, 16, 35), by=nurse)
    given = care_plan.SignpostGiven(service="Harbour Cancer Support helpline", contact="01632 960301")
    course.tell(given, course.clock(day, 16, 40), by=nurse)


def assess(course: Course, day: int, point: PathwayPoint, concerns: Sequence[Concern]) -> None:
    """A holistic needs assessment, and the plan that comes of it."""
    scores = {each.code: course.chance.randint(4, 9) for each in concerns}
    submitted = care_plan.AssessmentSubmitted(
        point=point,
        form_version="concerns-checklist-2",
        concerns=tuple(
            care_plan.ConcernScore(concern=each.code, score=scores[each.code], words=each.words) for each in concerns
        ),
        staff_role="nurse",
    )
    course.tell(submitted, course.clock(day, 11), by=course.hospital.nurse.agent)
    for minute, each in enumerate(concerns):
        _agree(course, day, minute * 4, each, scores[each.code])
    agreed = care_plan.PlanAgreed(with_whom=("patient", course.hospital.nurse.role))
    course.tell(agreed, course.clock(day, 12, 30), by=course.hospital.nurse.agent)


def _agree(course: Course, day: int, minute: int, concern: Concern, score: int) -> None:
    code, nurse = concern.code, course.hospital.nurse.agent
    facts = (
        care_plan.NeedRaised(need=code, concern=code, score=score, words=concern.words),
        care_plan.GoalSet(goal=f"{code}-goal", words=concern.goal, importance=min(10, score + 1), needs=(code,)),
        care_plan.ActionAgreed(
            action=f"{code}-action",
            what=concern.action,
            goal=f"{code}-goal",
            need=code,
            owner=concern.owner,
            due=course.day(day + 28),
            confidence=course.chance.randint(5, 9),
        ),
        care_plan.SupportSuggested(support=code, service=concern.service, need=code, contact="01632 960310"),
    )
    for number, fact in enumerate(facts):
        course.tell(fact, course.clock(day, 11, 10 + minute + number), by=nurse)
    if course.chance.random() < 0.75:
        course.tell(care_plan.SupportAccepted(support=code), course.clock(day + 2, 10, minute), by=nurse)
        course.tell(care_plan.SupportStarted(support=code), course.clock(day + 9, 10, minute), by=nurse)
    else:
        course.tell(care_plan.SupportDeclined(support=code), course.clock(day + 2, 10, minute), by=nurse)


def plan_for_emergencies(course: Course, day: int) -> None:
    nurse = course.hospital.nurse
    contingency = care_plan.ContingencyPlanSet(
        call_in_hours=f"{nurse.name}, {nurse.telephone}",
        call_out_of_hours="Acute oncology line, 01632 960999",
        warning_signs=tuple(course.site.late_effects),
        urgent_signs=tuple(course.site.urgent_signs),
        what_should_happen="Call the number above; in an emergency call 999",
    )
    course.tell(contingency, course.clock(day, 13), by=nurse.agent)


def review(course: Course, day: int, concerns: Sequence[Concern]) -> None:
    """The plan is looked at again: the first concern is settled, the others go on."""
    nurse = course.hospital.nurse.agent
    first, *others = concerns
    settled = (
        care_plan.ActionFinished(action=f"{first.code}-action", outcome="Done as agreed"),
        care_plan.GoalReviewed(goal=f"{first.code}-goal", outcome="Reached"),
        care_plan.NeedResolved(need=first.code, outcome="No longer a concern"),
        *(care_plan.ActionProgressed(action=f"{each.code}-action", note="Has begun") for each in others),
        care_plan.ReviewHeld(summary="Reviewed together; the plan goes on"),
    )
    for number, fact in enumerate(settled):
        course.tell(fact, course.clock(day, 14, number * 3), by=nurse)
    due = care_plan.ReviewScheduled(due=course.day(day + 90), owner=course.hospital.nurse.role)
    course.tell(due, course.clock(day, 14, 45), by=nurse)

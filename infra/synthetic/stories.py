"""What happens to invented people: the demo's stories, each to show one thing, and ordinary courses of care."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from domain.care_plan import PathwayPoint
from domain.pathway import DiagnosisAgreed, InvestigationReported
from infra.synthetic.course import (
    CIS,
    Course,
    Happening,
    book,
    decide,
    diagnose,
    end_phase,
    inform,
    investigate,
    join_team,
    name_lead,
    recur,
    refer,
    register,
    rule_out,
    see,
    stage,
    treat,
)
from infra.synthetic.course_plans import (
    CONCERNS,
    LANGUAGE_SUPPORT,
    Concern,
    assess,
    offer_support,
    plan_for_emergencies,
    review,
)
from infra.synthetic.hospitals import BOWEL, BREAST, HOSPITALS, LUNG, LYMPHOMA, PROSTATE, SITES, Site
from infra.synthetic.people import person

SHARE_RULED_OUT = 0.3


@dataclass(frozen=True)
class Story:
    """`shows` is what a reader of this person's plan finds; `nhs_app` is what the app's producer answers, where the
    story is about that. `days` is how long ago the referral was."""

    name: str
    shows: str
    tell: Callable[[Course], None]
    site: Site
    days: int
    hospital: int = 0
    gender: str | None = None
    age: int = 60
    language: str = "en"
    nhs_app: str | None = None


def course_of(seed: int, index: int, today: date) -> tuple[Course, Story | None]:
    """The course of person `index`, told up to `today`; the first people of any seed live the stories."""
    story = STORIES[index] if index < len(STORIES) else None
    chance = Random(f"course {seed}/{index}")
    course = _begun(seed, index, today, chance) if story is None else _begun_story(story, seed, index, today, chance)
    (story.tell if story else _ordinary)(course)
    return course, story


def _begun(seed: int, index: int, today: date, chance: Random) -> Course:
    someone = person(seed, index, today)
    able = [site for site in SITES if site.gender in (None, someone.gender)]
    start = today - timedelta(days=chance.randint(15, 330))
    return Course(someone, chance.choice(HOSPITALS), chance.choice(able), start, today, chance, _key(seed, index))


def _begun_story(story: Story, seed: int, index: int, today: date, chance: Random) -> Course:
    someone = person(
        seed, index, today, gender=story.gender or story.site.gender, age=story.age, language=story.language
    )
    start = today - timedelta(days=story.days)
    return Course(someone, HOSPITALS[story.hospital], story.site, start, today, chance, _key(seed, index))


def _key(seed: int, index: int) -> str:
    return f"P{seed:02d}{index:06d}"


def _ordinary(course: Course) -> None:
    found = _until_found(course)
    if course.chance.random() < SHARE_RULED_OUT:
        rule_out(course, found)
    else:
        _treated(course, found, course.chance.sample(CONCERNS, course.chance.randint(1, 2)))


def _until_found(course: Course) -> int:
    """Referral, first appointment and investigations; the day on which the answer is known."""
    register(course)
    refer(course)
    join_team(course)
    see(course, "first", 1, 8, "New patient", "Investigate further")
    return investigate(course, 9)


def _treated(course: Course, found: int, concerns: list[Concern]) -> int:
    """Diagnosis to the end of the first treatments; returns the day on which these ended."""
    diagnose(course, found)
    _told_and_supported(course, found + 2)
    assess(course, found + 6, PathwayPoint.DIAGNOSIS, concerns)
    stage(course, found + 3)
    decide(course, found + 5)
    ended = treat(course, found + 7)
    plan_for_emergencies(course, found + 8)
    review(course, found + 45, concerns)
    end_phase(course, ended + 14)
    return ended


def _told_and_supported(course: Course, day: int) -> None:
    inform(course, day, "diagnosis")
    name_lead(course, day)
    offer_support(course, day)


def _treated_breast_cancer(course: Course) -> None:
    _treated(course, _until_found(course), [CONCERNS[0], CONCERNS[2]])


def _not_yet_told(course: Course) -> None:
    found = _until_found(course)
    diagnose(course, found)
    book(course, "results", found, found + 4, "Results clinic")


def _ruled_out(course: Course) -> None:
    rule_out(course, _until_found(course))


def _late_and_corrected(course: Course) -> None:
    """The wrong lobe is recorded as a diagnosis of its own and withdrawn; a report comes weeks after its date."""
    found = _until_found(course)
    wrong = DiagnosisAgreed(icd10="C34.3", name="Malignant neoplasm of lower lobe of lung")
    for day, withdrawn in ((found - 1, False), (found + 3, True)):
        course.add(Happening(wrong, course.clock(day, 17), CIS, f"{course.key}-wrong", withdrawn=withdrawn))
    late = InvestigationReported(investigation="pet-ct", name="PET-CT", result="No distant spread")
    course.add(Happening(late, course.clock(found - 4, 16), CIS, course.key, late=25))
    _treated(course, found, [CONCERNS[3]])


def _support_in_her_language(course: Course) -> None:
    _treated(course, _until_found(course), [LANGUAGE_SUPPORT, CONCERNS[2]])


def _came_back(course: Course) -> None:
    ended = _treated(course, _until_found(course), [CONCERNS[5]])
    recur(course, ended + 120)


def _only_referred(course: Course) -> None:
    register(course)
    refer(course)


def _treated_young(course: Course) -> None:
    _treated(course, _until_found(course), [CONCERNS[4]])


STORIES = (
    Story(
        "treated",
        "Breast cancer, told and treated; plan in use, end-of-treatment summary drafted",
        _treated_breast_cancer,
        BREAST,
        260,
        age=58,
        nhs_app="full",
    ),
    Story(
        "not-yet-told",
        "Diagnosis recorded, the patient not yet told: their own view hides it and what betrays it",
        _not_yet_told,
        BOWEL,
        29,
        age=66,
    ),
    Story("ruled-out", "Cancer ruled out, and the patient told so", _ruled_out, PROSTATE, 60, hospital=2, age=71),
    Story(
        "corrected",
        "A diagnosis withdrawn and recorded anew, a report that came weeks late: for replay",
        _late_and_corrected,
        LUNG,
        150,
        hospital=1,
        age=69,
    ),
    Story(
        "own-language",
        "Speaks Urdu and needs an interpreter; support suggested in her language",
        _support_in_her_language,
        BREAST,
        120,
        age=49,
        language="ur",
    ),
    Story("recurrence", "Bowel cancer treated, then a recurrence that was told", _came_back, BOWEL, 420, age=63),
    Story(
        "only-referred",
        "Referred this week: nothing booked, nothing found, no appointment for the NHS App",
        _only_referred,
        LUNG,
        4,
        age=54,
        nhs_app="empty",
    ),
    Story(
        "under-sixteen",
        "Fourteen years old, Hodgkin lymphoma: the NHS App is refused",
        _treated_young,
        LYMPHOMA,
        70,
        age=14,
        nhs_app="under16",
    ),
)

"""An older version of the software, made up: what it stored under names that nobody writes now, and what became of it.

A field was added (and, before that, a name changed), one event was split in two, and one kind was given up.
"""

from typing import ClassVar

from domain.care_plan import GoalSet, NeedRaised
from domain.evolution import Retired
from domain.facts import Fact
from domain.pathway import PerformanceStatusAssessed


class FitnessAssessedV0(Retired):
    stored: ClassVar[str] = "pathway.fitness-assessed.v0"
    grade: int

    def becomes(self) -> tuple[Fact, ...]:
        return (PerformanceStatusAssessedV0(value=str(self.grade)),)


class PerformanceStatusAssessedV0(Retired):
    """The scale was not told: there was only one."""

    stored: ClassVar[str] = "pathway.performance-status-assessed.v0"
    value: str

    def becomes(self) -> tuple[Fact, ...]:
        return (PerformanceStatusAssessed(scale="ECOG", value=self.value),)


class NeedAndGoalRecordedV0(Retired):
    stored: ClassVar[str] = "care-plan.need-and-goal-recorded.v0"
    need: str
    concern: str
    words: str

    def becomes(self) -> tuple[Fact, ...]:
        goal = f"goal of {self.need}"
        raised = NeedRaised(need=self.need, concern=self.concern)
        return raised, GoalSet(goal=goal, words=self.words, needs=(self.need,))


class FaxNumberNotedV0(Retired):
    """Nothing is sent by fax any more."""

    stored: ClassVar[str] = "care-plan.fax-number-noted.v0"
    is_accepted: ClassVar[bool] = False
    number: str

    def becomes(self) -> tuple[Fact, ...]:
        return ()


OLDER: dict[str, type[Retired]] = {
    each.stored: each
    for each in (FitnessAssessedV0, PerformanceStatusAssessedV0, NeedAndGoalRecordedV0, FaxNumberNotedV0)
}

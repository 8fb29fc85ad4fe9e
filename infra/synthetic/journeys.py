"""Synthetic journeys: for a seed and an index always the same person and the same messages, some sent twice."""

from datetime import date
from random import Random
from typing import NamedTuple

from infra.synthetic.messages import Message, messages
from infra.synthetic.people import Person
from infra.synthetic.stories import STORIES, Story, course_of

SHARE_SENT_TWICE = 0.03
PATIENCE = 6


class Journey(NamedTuple):
    person: Person
    story: Story | None
    messages: tuple[Message, ...]

    @property
    def last_id(self) -> str:
        return self.messages[-1].id


def journey(seed: int, index: int, today: date) -> Journey:
    """Twenty to sixty messages in the order of sending. `today` is the last day that is told."""
    course, story = course_of(seed, index, today)
    sent = messages(course, seed)
    return Journey(course.person, story, tuple(_some_twice(sent, Random(f"sending {seed}/{index}"))))


def _some_twice(sent: list[Message], chance: Random) -> list[Message]:
    """A source that got no answer sends again, up to a few messages later; the last one is never a repetition."""
    result = list(sent)
    for place in range(len(sent) - PATIENCE - 1, -1, -1):
        if chance.random() < SHARE_SENT_TWICE:
            result.insert(place + chance.randint(1, PATIENCE), sent[place])
    return result


def stories(seed: int, patients: int, today: date) -> list[Journey]:
    """The journeys among the first `patients` that tell a story."""
    return [journey(seed, index, today) for index in range(min(patients, len(STORIES)))]

"""What a writer holds is bounded, and counted right whichever way it goes."""

from uuid import UUID, uuid4

from domain.care_plan import StrengthNoted
from domain.facts import Category
from domain.stream import Stream
from infra.writing.holdings import Holdings
from tests.builders import plan_of

# Room for some ten streams of two events.
LIMIT = 40_000


def stream(number: int, events: int = 2) -> Stream:
    told = plan_of(*(StrengthNoted(words=str(each)) for each in range(events)))
    return Stream(UUID(int=number), Category.CARE_PLAN, told)


def filled(count: int) -> Holdings:
    holdings = Holdings(LIMIT)
    for number in range(count):
        holdings.hold(stream(number))
    return holdings


def held(holdings: Holdings, among: int = 100) -> list[int]:
    return [number for number in range(among) if holdings.stream(UUID(int=number)) is not None]


def test_nothing_goes_before_the_batch_is_over() -> None:
    holdings = filled(30)
    assert len(held(holdings)) == 30
    holdings.trim()
    assert 5 < len(held(holdings)) < 15


def test_the_least_recently_used_goes_first() -> None:
    holdings = filled(30)
    holdings.stream(UUID(int=0))
    holdings.trim()
    assert held(holdings)[0] == 0
    assert held(holdings)[1:] == list(range(31 - len(held(holdings)), 30))


def test_what_is_forgotten_no_longer_counts() -> None:
    for forgotten in (None, [UUID(int=number) for number in range(30)]):
        holdings = filled(30)
        holdings.forget(forgotten)
        holdings.forget([uuid4(), UUID(int=1)])  # neither of which is held
        assert held(holdings) == []
        for number in range(8):
            holdings.hold(stream(number))
        holdings.trim()
        assert len(held(holdings)) == 8


def test_a_stream_counts_once_and_as_it_has_grown() -> None:
    holdings = filled(8)
    for _ in range(50):
        holdings.hold(stream(0))
    holdings.trim()
    assert len(held(holdings)) == 8
    holdings.hold(stream(9, events=20))
    holdings.trim()
    assert len(held(holdings)) < 8
    assert 9 in held(holdings)


def test_patients_and_keys_are_bounded_too() -> None:
    holdings = Holdings(LIMIT)
    holdings.patients.update((bytes([number]), UUID(int=number)) for number in range(100))
    holdings.trim()
    assert list(holdings.patients.values()) == [UUID(int=number) for number in range(80, 100)]


def test_another_log_leaves_nothing() -> None:
    holdings = filled(3)
    holdings.patients[b"x"] = UUID(int=1)
    holdings.clear()
    assert (held(holdings), len(holdings.patients), len(holdings.keys)) == ([], 0, 0)

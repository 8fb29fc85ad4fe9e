"""Whose works share a transaction, and who overtakes whom."""

from queue import Empty
from threading import Timer

import pytest

from infra.writing.turns import SMALL, Job, Turn, Turns
from infra.writing.work import Outcome, Work
from tests.works import message

DONE = Outcome("recorded", b"{}", None, None, 1)


def job(name: str, count: int = 1, alone: bool = False) -> Job:
    return Job([message(f"{name}{number}")._replace(alone=alone) for number in range(count)])


def turns(*jobs: Job, most: int = 50) -> Turns:
    made = Turns(most)
    for each in jobs:
        made.put(each)
    return made


def keys(turn: Turn | None) -> list[bytes]:
    assert turn is not None
    return [work.key for work in turn.works]


def serve(turn: Turn | None) -> list[bytes]:
    told = keys(turn)
    assert turn is not None
    for each, works in turn.jobs:
        each.answer([DONE] * len(works))
    return told


def named(name: str, *numbers: int) -> list[bytes]:
    return [f"{name}{number}".encode() for number in numbers]


def test_small_jobs_share_a_turn_in_their_order() -> None:
    assert keys(turns(job("a"), job("b", 2), job("c")).next(1)) == named("a", 0) + named("b", 0, 1) + named("c", 0)


def test_a_turn_is_bounded() -> None:
    waiting = turns(*(job(f"{number}-", 10) for number in range(8)), most=25)
    assert [len(keys(waiting.next(1))) for _ in range(3)] == [30, 30, 20]


def test_a_large_job_is_cut_and_answered_whole() -> None:
    large = job("x", 120)
    waiting = turns(large)
    assert [len(serve(waiting.next(1))) for _ in range(3)] == [50, 50, 20]
    assert len(large.result()) == 120


def test_small_jobs_overtake_a_large_one_and_do_not_starve_it() -> None:
    waiting = turns(job("x", 100), job("y", 60), job("a"))
    assert serve(waiting.next(1)) == named("a", 0)
    waiting.put(job("b"))
    assert len(serve(waiting.next(1))) == 50
    waiting.put(job("c"))
    assert serve(waiting.next(1)) == named("b", 0) + named("c", 0)
    assert [len(serve(waiting.next(1))) for _ in range(3)] == [50, 50, 10]


def test_what_must_be_alone_is_alone() -> None:
    waiting = turns(job("a"), job("b", alone=True), job("c"), job("d"))
    assert [serve(waiting.next(1)) for _ in range(3)] == [
        named("a", 0),
        named("b", 0),
        named("c", 0) + named("d", 0),
    ]


def test_what_is_left_of_a_job_that_failed_is_not_tried() -> None:
    large = job("x", 120)
    waiting = turns(large)
    waiting.next(1)
    large.fail(ValueError("made to fail"))
    waiting.put(job("a"))
    assert serve(waiting.next(1)) == named("a", 0)
    with pytest.raises(Empty):
        waiting.next(0.01)
    with pytest.raises(ValueError, match="made to fail"):
        large.result()


def test_those_who_were_answered_together_are_waited_for() -> None:
    waiting = Turns(50, gather_seconds=5)
    for number in range(4):
        waiting.put(job(f"{number}"))
    assert len(serve(waiting.next(1))) == 4
    waiting.put(job("first"))

    def come_again() -> None:
        for number in range(3):
            waiting.put(job(f"{number}"))

    late = Timer(0.05, come_again)
    late.start()
    assert len(serve(waiting.next(1))) == 4
    late.join()


def test_nobody_is_waited_for_in_vain_for_long() -> None:
    waiting = turns(job("a"), job("b"))
    assert len(serve(waiting.next(1))) == 2
    for name in ("c", "d"):
        waiting.put(job(name))
        assert serve(waiting.next(1)) == named(name, 0)


def test_closing_serves_what_came_before() -> None:
    waiting = turns(job("a"), job("x", SMALL + 1))
    waiting.close()
    assert len(serve(waiting.next(1))) == 1
    assert len(serve(waiting.next(1))) == SMALL + 1
    assert waiting.next(1) is None


def test_what_nobody_serves_any_more_is_told() -> None:
    first, second = job("a"), job("x", SMALL + 1)
    assert turns(first, second).left() == [first, second]


def test_a_job_answered_in_parts_is_done_at_the_last() -> None:
    works: list[Work] = [message("1"), message("2")]
    made = Job(works)
    done = []
    for _ in works:
        made.answer([DONE])
        done.append(made.is_done)
    assert done == [False, True]
    assert made.result() == made.result() == [DONE, DONE]


def test_a_job_can_be_waited_for_without_its_answer() -> None:
    answered, failed = job("a"), job("b")
    assert not answered.wait(0.01)
    answered.answer([DONE])
    failed.fail(ValueError("made to fail"))
    assert answered.wait(0)
    assert failed.wait(0)
    assert answered.result() == [DONE]


def test_who_comes_while_others_are_served_is_not_overlooked() -> None:
    waiting = turns(job("a"))
    assert keys(waiting.next(1)) == named("a", 0)
    late = Timer(0.05, waiting.put, [job("b")])
    late.start()
    assert keys(waiting.next(5)) == named("b", 0)
    late.join()

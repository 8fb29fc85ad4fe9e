"""The readers that watch rebuilds are able to find something amiss."""

from uuid import uuid4

import orjson
import pytest

from projections.reading.reads import Served, Standing
from tests.watching import wrongs


def served(checkpoint: int = 9, through: int = 5, needs: int = 2, is_there: bool = True) -> Served:
    json = orjson.dumps({"needs": [{}] * needs}) if is_there else None
    return Served(json, Standing(through, checkpoint, 10, None), uuid4(), 1)


def test_answers_that_go_on_are_right() -> None:
    assert not list(wrongs(None, served()))
    assert not list(wrongs(served(), served()))
    assert not list(wrongs(served(), served(checkpoint=10, through=10, needs=3)))


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (served(is_there=False), "nothing was served"),
        (served(checkpoint=8), "position 8 after 9"),
        (served(through=4), "a document through 4 after one through 5"),
        (served(needs=1), "an older document after a newer one"),
    ],
)
def test_answers_that_go_back_are_wrong(answer: Served, what: str) -> None:
    assert list(wrongs(served(), answer)) == [what]

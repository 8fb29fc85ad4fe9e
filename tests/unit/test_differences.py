"""What changed between two documents, by JSON Pointer."""

from typing import Any

import pytest

from projections.folds.differences import difference


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("/a", 1, 2)]),
        ({}, {"a": [1]}, [("/a", None, [1])]),
        ({"a": {"b": 1}}, {"a": {}}, [("/a/b", 1, None)]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [("/a/c", 2, 3)]),
        ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}, [("/a~1b/~0", 1, 2)]),
        ({"a": [1, 3]}, {"a": [1, 2, 3]}, [("/a/1", None, 2)]),
        ({"a": [1, 2, 3]}, {"a": [1, 3]}, [("/a/1", 2, None)]),
        ({"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}, {"x": 5}]}, [("/a/1/x", 2, 5)]),
        ({"a": [7, 7]}, {"a": [7]}, [("/a/1", 7, None)]),
        ({"a": [1]}, {"a": [1, 2, {"x": 3}]}, [("/a/1", None, 2), ("/a/2", None, {"x": 3})]),
        ({"a": [1, 2]}, {"a": [3]}, [("/a/0", 1, 3), ("/a/1", 2, None)]),
        ({"a": [{"x": 1}]}, {"a": {"x": 1}}, [("/a", [{"x": 1}], {"x": 1})]),
        ({"a": "not-recorded"}, {"a": {"b": 1}}, [("/a", "not-recorded", {"b": 1})]),
    ],
)
def test_the_smallest_parts_that_differ(before: Any, after: Any, changes: list[tuple[str, Any, Any]]) -> None:
    expected = [{"pointer": pointer, "before": was, "after": now} for pointer, was, now in changes]
    assert difference(before, after) == expected

"""Columns written at once say what psycopg's own dumpers say."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer

from infra.writing.arrays import Column, booleans, byteas, integers, moments, texts, uuids


def dumped(values: list[Any]) -> bytes:
    """As psycopg writes it."""
    dumper = Transformer().get_dumper(values, PyFormat.BINARY)
    written = dumper.dump(values)
    assert written is not None
    return bytes(written)


@given(st.lists(st.uuids(), min_size=1, max_size=5), st.lists(st.binary(), min_size=1, max_size=5))
def test_uuids_and_bytes(ids: list[UUID], blobs: list[bytes]) -> None:
    assert uuids(ids) == dumped(ids)
    assert byteas(blobs) == dumped(blobs)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_texts(words: list[str]) -> None:
    assert texts(words)[12:] == dumped(words)[12:]


@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1, max_size=5), st.lists(st.booleans(), min_size=1))
def test_moments_and_booleans(times: list[datetime], truths: list[bool]) -> None:
    assert moments(times) == dumped(times)
    assert booleans(truths) == dumped(truths)


def test_integers() -> None:
    assert integers([1, -1, 2**31 - 1])[20:] == b"".join(
        b"\0\0\0\4" + each.to_bytes(4, "big", signed=True) for each in (1, -1, 2**31 - 1)
    )


def test_an_offset_is_no_other_moment() -> None:
    summer = datetime(2026, 6, 1, 10, tzinfo=timezone(timedelta(hours=1)))
    assert moments([summer]) == moments([summer.astimezone(UTC)])


@pytest.mark.parametrize("write", [uuids, byteas, texts, integers, booleans, moments])
def test_nothing_is_an_array_without_dimensions(write: Any) -> None:
    column = write([])
    assert isinstance(column, Column)
    assert column[:4] == b"\0\0\0\0"
    assert len(column) == 12

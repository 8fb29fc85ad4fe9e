"""Sending: in order, resumable, with keys that tell nothing."""

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.__main__ import cli
from infra.children import free_port
from infra.settings import Settings
from infra.synthetic.journeys import Journey, journey
from infra.synthetic.simulate import (
    SendFailed,
    ToFile,
    ToHttp,
    Told,
    http_sender,
    partition_key,
    read_told,
    simulate,
    write_told,
)

DAY = date(2026, 6, 17)


class Remembering:
    """Takes journeys over until it is full."""

    def __init__(self, room: int = 1000) -> None:
        self.people: list[int] = []
        self._room = room

    def send(self, journey: Journey) -> None:
        if len(self.people) == self._room:
            raise SendFailed("full")
        self.people.append(journey.person.index)

    def close(self) -> None:
        """Nothing is open."""


def test_a_second_start_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    first, second = Remembering(room=3), Remembering()
    with pytest.raises(SendFailed):
        simulate(first, Told(1, DAY), 7, lambda told: write_told(tmp_path, told))
    told = read_told(tmp_path, 1)
    assert told == Told(1, DAY, 3)
    assert simulate(second, told, 7, lambda told: write_told(tmp_path, told)).people == 7
    assert first.people + second.people == list(range(7))
    third = Remembering()
    simulate(third, Told(1, DAY, 7), 7, lambda _: None)
    assert third.people == []


def test_seeds_are_remembered_apart(tmp_path: Path) -> None:
    write_told(tmp_path, Told(1, DAY, 5))
    assert read_told(tmp_path, 2) is None


def test_a_partition_key_is_the_same_for_a_person_and_holds_no_number() -> None:
    keys = {partition_key(f"99900000{last:02d}") for last in range(50)}
    assert len(keys) == 50
    assert partition_key("9990000018") == partition_key("9990000018")
    assert b"9990000018" not in partition_key("9990000018")


def test_a_file_has_one_structured_event_a_line(tmp_path: Path) -> None:
    told = journey(3, 12, DAY)
    sender = ToFile(tmp_path / "events.jsonl")
    sender.send(told)
    sender.close()
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [each["id"] for each in events] == [each.id for each in told.messages]
    assert {each["specversion"] for each in events} == {"1.0"}
    assert all(each["data"] and each["datacontenttype"] for each in events)


def test_the_command_gives_the_same_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for name in ("a", "b"):
        options = ["--patients", "3", "--seed", "5", "--to", "file", "--out", str(tmp_path / name), "--today"]
        assert CliRunner().invoke(cli, ["simulate", *options, "2026-06-17"]).exit_code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_told(tmp_path / "data", 5) is None


def test_a_closed_door_is_said() -> None:
    port = free_port()
    with pytest.raises(SendFailed, match=f"port {port}: no answer"):
        ToHttp(port, lambda _: "token", attempts=1).send(journey(1, 0, DAY))


def test_without_an_issuer_a_token_must_be_given() -> None:
    with pytest.raises(SendFailed, match="--token"):
        http_sender(Settings(environment="development"), None, None)

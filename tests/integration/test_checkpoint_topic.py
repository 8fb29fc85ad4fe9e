"""The topic of checkpoints, through a real broker: what is published, and what it remembers that a folder forgot."""

from pathlib import Path
from uuid import uuid4

import pytest

from infra.children import free_port
from infra.evidence.outside import Outside
from infra.evidence.signer import LogSigner, SigningRefused
from infra.evidence.tiles import LogName
from infra.evidence.topic import CheckpointTopic, TopicSilent
from infra.kafka_broker import KafkaBroker
from infra.topics import Topic, create_topics
from tests.conftest import Database
from tests.signing import NAME, PRIVATE, fill, tampering

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture
def connection(kafka_broker: KafkaBroker) -> dict[str, object]:
    return {"bootstrap_servers": kafka_broker.bootstrap}


@pytest.fixture
def name(connection: dict[str, object]) -> str:
    made = f"test-{uuid4().hex[:12]}"
    create_topics(connection, [Topic(made, partitions=1, configuration={"retention.ms": "-1"})])
    return made


def test_the_last_note_of_each_origin_is_read_back(connection: dict[str, object], name: str) -> None:
    topic = CheckpointTopic(connection, name)
    assert topic.newest("a") is None
    for origin, note in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        topic.publish(origin, note)
    topic.close()
    again = CheckpointTopic(connection, name)
    assert [again.newest(origin) for origin in "abc"] == [b"3", b"2", None]
    assert again.holds("a", b"3")
    assert not again.holds("a", b"1")


def test_a_folder_restored_together_with_the_database_is_not_believed(
    connection: dict[str, object], name: str, database: Database, tmp_path: Path
) -> None:
    """As when a whole machine is put back to its state of yesterday."""
    topic = CheckpointTopic(connection, name)
    fill(database, 1, 5)
    with database.connect("sealer") as sealer:
        yesterday, today = (
            LogSigner(LogName.EVENTS, NAME, PRIVATE, Outside(tmp_path / when, LogName.EVENTS), topic.newest)
            for when in ("yesterday", "today")
        )
        for ours in (yesterday, today):
            if ours is today:
                fill(database, 6, 9)
            signed = ours.sign(sealer)
            assert signed is not None
            topic.publish(NAME, signed.note)
        with tampering(database) as superuser:
            superuser.execute("delete from log.events where position > 5")
        afterwards = LogSigner(
            LogName.EVENTS, NAME, PRIVATE, yesterday.outside, CheckpointTopic(connection, name).newest
        )
        with pytest.raises(SigningRefused, match="9 were signed"):
            afterwards.sign(sealer)
    topic.close()


def test_silence_is_said(connection: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TopicSilent, match="no such topic"):
        CheckpointTopic(connection, f"none-{uuid4().hex[:8]}").newest("a")
    monkeypatch.setattr("infra.evidence.topic._SECONDS", 0.5)
    nobody = CheckpointTopic({"bootstrap_servers": f"127.0.0.1:{free_port()}"}, "checkpoints")
    with pytest.raises(TopicSilent):
        nobody.newest("a")
    with pytest.raises(TopicSilent):
        nobody.publish("a", b"1")

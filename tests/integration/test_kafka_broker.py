"""The launcher of Kafka: messages of every allowed size, topics, kills, and what is missing."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, MessageSizeTooLargeError

from infra import kafka_broker as launcher
from infra.children import StartError
from infra.kafka_broker import KafkaBroker, KafkaUnavailable
from infra.settings import Settings
from infra.topics import MAX_BATCH_BYTES, MAX_MESSAGE_BYTES, Topic, TopicError, create_topics, topics

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
RUN_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from infra.kafka_broker import KafkaBroker
broker = KafkaBroker(Path(sys.argv[1]), int(sys.argv[2]))
broker.start()
print(broker.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def own_broker(kafka_broker: KafkaBroker, server_folder: Path) -> Iterator[KafkaBroker]:
    """A broker of the test's own, not yet started; the shared one shows that there is Java."""
    broker = KafkaBroker(server_folder)
    yield broker
    broker.stop()


def new_topic(broker: KafkaBroker) -> str:
    topic = Topic(f"test-{uuid.uuid4()}", partitions=1)
    create_topics({"bootstrap_servers": broker.bootstrap}, [topic])
    return topic.name


def publish(broker: KafkaBroker, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=2 * MAX_BATCH_BYTES)
    try:
        for value in values:
            producer.send(topic, value).get(timeout=30)
    finally:
        producer.close()


def read_all(broker: KafkaBroker, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap, group_id=None, max_partition_fetch_bytes=MAX_BATCH_BYTES
    )
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += [record.value for record in consumer.poll(500).get(partition, [])]
    consumer.close()
    return found


def test_a_message_of_8_mb_passes_and_a_larger_one_is_refused(kafka_broker: KafkaBroker) -> None:
    topic = new_topic(kafka_broker)
    large = os.urandom(MAX_MESSAGE_BYTES)
    publish(kafka_broker, topic, b"small", large)
    assert read_all(kafka_broker, topic, 2) == [b"small", large]
    with pytest.raises(MessageSizeTooLargeError):
        publish(kafka_broker, topic, os.urandom(MAX_BATCH_BYTES + 1))


def test_topics_are_made_once_with_their_limits(kafka_broker: KafkaBroker) -> None:
    connection = {"bootstrap_servers": kafka_broker.bootstrap}
    for _ in range(2):
        create_topics(connection, topics(Settings()))
    admin = KafkaAdminClient(**connection)
    try:
        described = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
        resource = ConfigResource(ConfigResourceType.TOPIC, "care-events")
        configuration = str(admin.describe_configs([resource]))
    finally:
        admin.close()
    expected = {"care-events": 6, "care-signals": 3, "care-checkpoints": 1}
    assert expected.items() <= described.items()
    assert str(7 * 24 * 60 * 60 * 1000) in configuration
    assert str(MAX_BATCH_BYTES) in configuration


def test_topics_that_nobody_made_do_not_appear(kafka_broker: KafkaBroker) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap, max_block_ms=1000)
    try:
        with pytest.raises(KafkaError):
            producer.send("misspelt", b"lost").get(timeout=3)
    finally:
        producer.close(timeout=1)


def test_a_refused_topic_carries_the_reason(kafka_broker: KafkaBroker) -> None:
    impossible = Topic("never/allowed", partitions=1)
    with pytest.raises(TopicError, match="never/allowed"):
        create_topics({"bootstrap_servers": kafka_broker.bootstrap}, [impossible], seconds=1)


def test_messages_outlive_a_stop_kill_9_and_another_port(own_broker: KafkaBroker) -> None:
    own_broker.start()
    topic = new_topic(own_broker)
    publish(own_broker, topic, b"before the stop")
    own_broker.stop()
    successor = KafkaBroker(own_broker.folder.parent)
    with successor:
        publish(successor, topic, b"before the kill")
        pid = successor.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while successor.pid is not None:
            time.sleep(0.01)
        successor.start()
        assert read_all(successor, topic, 2) == [b"before the stop", b"before the kill"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a child with its parent")
def test_kill_9_of_the_parent_ends_the_broker_and_blocks_nothing(own_broker: KafkaBroker) -> None:
    arguments = [sys.executable, "-c", RUN_UNTIL_KILLED, str(own_broker.folder.parent), str(own_broker.port)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        topic = new_topic(own_broker)
        publish(own_broker, topic, b"kept")
        parent.kill()
    own_broker.start()
    assert not Path(f"/proc/{pid}").exists()
    assert read_all(own_broker, topic, 1) == [b"kept"]


def test_a_format_cut_short_is_done_again(own_broker: KafkaBroker) -> None:
    (own_broker.folder / "logs").mkdir(parents=True)
    (own_broker.folder / "logs" / "meta.properties").write_text("version=1\n")
    own_broker.start()
    new_topic(own_broker)


def test_a_taken_port_is_named(kafka_broker: KafkaBroker, server_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} is taken.*KAFKA_PORT"):
            KafkaBroker(server_folder, port).start()


def test_a_broker_that_cannot_start_shows_the_end_of_its_log(own_broker: KafkaBroker) -> None:
    own_broker.start()
    own_broker.stop()
    (own_broker.folder / "logs" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=other\n")
    with pytest.raises(StartError, match="Stored node id 7"):
        own_broker.start()
    assert own_broker.pid is None


def test_no_java_and_an_old_java_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaUnavailable, match="install Java 17"):
        KafkaBroker(tmp_path).start()
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(KafkaUnavailable, match="newer Java"):
        KafkaBroker(tmp_path).start()


def test_no_maven_matters_only_where_the_jars_are_not_there_yet(
    kafka_broker: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launcher.fetch_jars(launcher.CACHE).is_dir()
    with pytest.raises(KafkaUnavailable, match="apt-get install maven"):
        launcher.fetch_jars(tmp_path / "empty")


def test_a_failed_download_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] the repository is out of reach'; exit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(StartError, match="out of reach"):
        launcher.fetch_jars(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_jars_come_from_the_recipe(kafka_broker: KafkaBroker) -> None:
    names = {jar.name for jar in launcher.fetch_jars(launcher.CACHE).iterdir()}
    assert {"kafka_2.13-4.4.0.jar", "log4j-slf4j-impl-2.25.5.jar"} <= names
    assert shutil.which("java") is not None

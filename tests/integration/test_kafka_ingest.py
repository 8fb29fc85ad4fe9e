"""Records through a real broker into a real log: modes, poison, hand-over, fencing and offsets that are gone."""

import time
from contextlib import closing

import psycopg
import pytest
from kafka import KafkaAdminClient, TopicPartition

from consumers.messages import RawMessage
from consumers.places import NotPassedOver, pass_over
from infra.kafka_broker import KafkaBroker
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.events import binary, diagnosis, structured
from tests.ingesting import connection, count, new_topic, publish, receipts, running, until

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(kafka_broker: KafkaBroker) -> str:
    return new_topic(kafka_broker, partitions=3)


def test_good_and_bad_records_all_get_an_outcome_and_offsets_move(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    bad = [binary("null", {})._replace(value=None), binary("deep", b"[" * 1_000_000), RawMessage((), b"\xff", "")]
    good = [binary("1", diagnosis()), structured("2", diagnosis(key="p-2")), binary("1", diagnosis())]
    with running(kafka_broker, topic, database) as consumer:
        publish(kafka_broker, topic, *bad, *good, *bad)
        until(lambda: count(database, "select coalesce(sum(next_offset), 0) from log.offsets") == 9)
        until(
            lambda: consumer.metric("ingest_messages_total", outcome="rejected", content_type="application/json") == 2
        )
    assert count(database, "select count(*) from log.events where type like 'pathway.%'") == 2
    assert count(database, "select count(*) from log.rejected where state = 'open'") == 3
    assert receipts(database) == 5


def test_a_second_start_goes_on_where_the_first_stopped(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    for turn in range(2):
        with running(kafka_broker, topic, database) as consumer:
            publish(kafka_broker, topic, binary(str(turn), diagnosis(key=str(turn))))
            until(lambda: receipts(database) == turn + 1)  # noqa: B023 used at once
        assert consumer.metric("ingest_messages_total", outcome="known", content_type="application/json") == 0


def test_two_consumers_share_the_partitions_and_one_takes_over(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    with running(kafka_broker, topic, database) as first:
        publish(kafka_broker, topic, *(binary(f"a{n}", diagnosis(key=f"a{n}")) for n in range(60)))
        until(lambda: receipts(database) == 60)
        with running(kafka_broker, topic, database):
            publish(kafka_broker, topic, *(binary(f"b{n}", diagnosis(key=f"b{n}")) for n in range(60)))
            until(lambda: receipts(database) == 120)
        publish(kafka_broker, topic, *(binary(f"c{n}", diagnosis(key=f"c{n}")) for n in range(60)))
        until(lambda: receipts(database) == 180)
        assert first.metric("ingest_messages_total", outcome="rejected", content_type="application/json") == 0
    assert count(database, "select count(*) from log.events where type like 'pathway.%'") == 180


def test_a_consumer_whose_offsets_were_moved_is_fenced_and_rejoins(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    with running(kafka_broker, topic, database) as consumer:
        publish(kafka_broker, topic, binary("1", diagnosis()))
        until(lambda: receipts(database) == 1)
        with database.connect("owner") as owner:
            owner.execute("update log.offsets set next_offset = 0")
        publish(kafka_broker, topic, binary("2", diagnosis(key="p-2")))
        until(lambda: receipts(database) == 2)
        assert consumer.metric("ingest_fenced_total") == 1
    assert count(database, "select count(*) from log.events where type like 'pathway.%'") == 2


def test_an_offset_that_the_broker_no_longer_has_stops_the_partition_loudly(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    with running(kafka_broker, topic, database):
        publish(kafka_broker, topic, *(binary(str(n), diagnosis(key=str(n))) for n in range(9)))
        until(lambda: receipts(database) == 9)
    publish(kafka_broker, topic, *(binary(f"lost{n}", diagnosis(key=f"lost{n}")) for n in range(9)))
    admin = KafkaAdminClient(**connection(kafka_broker))
    admin.delete_records({TopicPartition(topic, 0): 5})
    admin.close()
    with running(kafka_broker, topic, database) as consumer:
        until(lambda: receipts(database) == 15)
        assert consumer.metric("ingest_stopped_partitions") == 1
    assert count(database, "select next_offset from log.offsets where partition = 0") == 3


class NotUtf8(str):
    """A header's name as a publisher in another language may write it."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"\xff\xfe"


def test_a_record_that_the_library_does_not_take_stops_its_partition_alone(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    publish(kafka_broker, topic, *(binary(str(n), diagnosis(key=str(n))) for n in range(6)))
    good = binary("poison", diagnosis(key="poison"))
    publish(kafka_broker, topic, good._replace(headers=((NotUtf8("x"), b"1"),)), partitions=1)
    publish(kafka_broker, topic, *(binary(f"later{n}", diagnosis(key=f"later{n}")) for n in range(6)))
    with running(kafka_broker, topic, database) as consumer:
        until(lambda: receipts(database) == 10, 60)
        until(lambda: consumer.metric("ingest_stopped_partitions") == 1)
        publish(kafka_broker, topic, *(binary(f"last{n}", diagnosis(key=f"last{n}")) for n in range(3)))
        until(lambda: receipts(database) == 12)
    assert count(database, "select next_offset from log.offsets where partition = 0") == 2
    with closing(database.log()) as offsets, closing(Writer(database.log(), database.keys)) as writer:
        given = (connection(kafka_broker), offsets, writer, database.keys)
        for partition, to, why in ((0, 2, "goes on at offset 2"), (0, 99, "ends at offset"), (7, 3, "no partition 7")):
            with pytest.raises(NotPassedOver, match=why):
                pass_over(*given, (topic, partition), to, "a slip of the finger")
        assert pass_over(*given, (topic, 0), 3, "a header that is not UTF-8") == 2
    with running(kafka_broker, topic, database) as consumer:
        until(lambda: receipts(database) == 16)
        assert consumer.metric("ingest_stopped_partitions") == 0
    assert count(database, f"select count(*) from log.rejected where coordinates = '{topic}/0/2-2'") == 1


def test_a_database_that_goes_away_for_a_while_loses_nothing(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    with running(kafka_broker, topic, database):
        publish(kafka_broker, topic, binary("1", diagnosis()))
        until(lambda: receipts(database) == 1)
        with psycopg.connect(database.server.url(), autocommit=True) as superuser:
            superuser.execute(f'alter database "{database.name}" allow_connections false')
            superuser.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'writer'")
            publish(kafka_broker, topic, binary("2", diagnosis(key="p-2")))
            time.sleep(4)
            superuser.execute(f'alter database "{database.name}" allow_connections true')
        until(lambda: receipts(database) == 2)

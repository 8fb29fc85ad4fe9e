"""A message that is attributed only when it is taken up again falls with the patient, in backups too."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import pytest

from consumers.messages import RawMessage
from consumers.pipeline import Pipeline, ingest
from consumers.rejected import raw_message, rejected_messages, retry
from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from domain.identity import PatientReference
from infra.custody.renewal import renew
from infra.custody.rotation import rotate
from infra.keys import FileKeyProvider, KeyRing, KeyUnusable
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.custody import destroyed, unheard
from tests.events import NHS_NUMBER, binary, diagnosis
from tests.works import CARE_PLAN_NEED, MARIA, called, message, part, work

pytestmark = pytest.mark.postgres

JOHN = called("john-1")
OTHER_NUMBER = "9000000017"
UNDER = "select key_id from log.raw_messages where receipt_key = %s"
NEED = (CARE_PLAN, NeedRaised(need="2", concern="money"))
KEYS = "select key_id, wrapped from log.keys union all select key_id, wrapped from log.monthly_keys"


class Backup(NamedTuple):
    """What a base backup holds of messages, and of the keys that open them."""

    messages: list[tuple[bytes, UUID, bytes]]
    keys: dict[UUID, bytes]


@pytest.fixture
def own(database: Database, tmp_path: Path) -> Database:
    """With a key file of its own, which may be rotated."""
    FileKeyProvider.generate(tmp_path / "keys.json")
    return database._replace(keys=KeyRing(FileKeyProvider(tmp_path / "keys.json")))


@pytest.fixture
def desk(own: Database) -> Iterator[Writer]:
    with closing(Writer(own.log(), own.keys)) as writer:
        yield writer


def one(database: Database, query: str, *given: Any) -> Any:
    with database.connect("auditor") as auditor:
        row = auditor.execute(query, given).fetchone()
    return row[0] if row else None


def backup(database: Database) -> Backup:
    with database.connect("auditor") as auditor:
        messages = auditor.execute("select receipt_key, key_id, sealed from log.raw_messages").fetchall()
        return Backup(messages, dict(auditor.execute(KEYS).fetchall()))


def readable(database: Database, *backups: Backup) -> set[bytes]:
    """Bytes of messages that the key file of today opens, by any key that stands in a backup or here."""
    found, now, ring = set(), backup(database), KeyRing(database.keys.provider)
    for kept in (now, *backups):
        for receipt, key_id, sealed in kept.messages:
            for wrapped in (kept.keys.get(key_id), now.keys.get(key_id)):
                if wrapped is None:
                    continue
                try:
                    found.add(ring.unwrap(key_id, wrapped).open(sealed, receipt))
                except KeyUnusable:
                    continue
                finally:
                    ring.evict(key_id)
    return found


def sent(database: Database, writer: Writer, *messages: RawMessage) -> list[str]:
    return [each.outcome for each in ingest(writer, Pipeline(database.keys), messages)]


def take_up(database: Database, writer: Writer) -> str:
    """The one message that waits."""
    with database.connect("writer") as connection:
        (row,) = rejected_messages(connection)
        return retry(connection, database.keys, writer, Pipeline(database.keys), row.rejected_id).outcome


def end(database: Database, folder: Path, patient_id: UUID) -> None:
    """The whole of a destruction, as the runbook has it: the key, the keys of months, the rotation."""
    destroyed(database, folder, patient_id)
    provider = database.keys.provider
    assert isinstance(provider, FileKeyProvider)
    with database.connect("custodian") as custodian:
        renew(custodian, database.keys, unheard)
        rotate(custodian, provider, unheard)


def with_mrn(event_id: str, number: str, **others: object) -> RawMessage:
    """The number is written so that no search of the bytes finds it."""
    data = diagnosis() | {"patient": {"nhs_number": number, "identifiers": [{"system": "mrn", "value": "1"}]}} | others
    return binary(event_id, orjson.dumps(data).replace(number.encode(), b"\\u0039" + number[1:].encode()))


@pytest.fixture
def waiting(own: Database, desk: Writer) -> bytes:
    """The receipt of a message whose hospital number belonged to somebody else, which is mended by now."""
    assert sent(own, desk, with_mrn("1", NHS_NUMBER), with_mrn("2", OTHER_NUMBER)) == ["recorded", "rejected"]
    assert sent(own, desk, binary("3", b"{of nobody")) == ["rejected"]
    with own.connect("owner") as owner:
        owner.execute("delete from log.identifiers where position = 0")
        owner.execute("update log.rejected set state = 'discarded' where reasons @> '[{\"code\": \"invalid-json\"}]'")
    receipt = one(own, "select receipt_key from log.rejected where state = 'open'")
    assert isinstance(receipt, bytes)
    return receipt


@pytest.fixture
def fresh(own: Database, waiting: bytes) -> Iterator[Writer]:
    """One that has not looked before it was mended."""
    with closing(Writer(own.log(), own.keys)) as writer:
        yield writer


def test_its_bytes_move_under_the_patients_key(own: Database, waiting: bytes, fresh: Writer) -> None:
    came = one(own, "select received_at from log.raw_messages where receipt_key = %s", waiting)
    month = one(own, "select key_id from log.monthly_keys")
    assert one(own, UNDER, waiting) == month
    assert take_up(own, fresh) == "recorded"
    assert one(own, UNDER, waiting) == one(
        own, "select key_id from log.keys where patient_id = %s", told_of(own, waiting)
    )
    assert one(own, "select stood_under from log.raw_messages where receipt_key = %s", waiting) == [month]
    assert one(own, "select received_at from log.raw_messages where receipt_key = %s", waiting) == came
    assert one(own, "select count(*) from log.raw_messages") == 3
    with own.connect("writer") as connection:
        (row,) = rejected_messages(connection, "resolved")
        assert raw_message(connection, own.keys, row).value == with_mrn("2", OTHER_NUMBER).value


def test_once_the_patient_is_destroyed_nobody_reads_it_again(
    own: Database, waiting: bytes, fresh: Writer, tmp_path: Path
) -> None:
    """Neither here nor in a backup, from before it was taken up again or from after; what is of others stays."""
    before = backup(own)
    take_up(own, fresh)
    after = backup(own)
    assert len(about_her(readable(own, before, after))) == 1
    end(own, tmp_path, told_of(own, waiting))
    left = readable(own, before, after)
    assert about_her(left) == set()
    assert any(b"of nobody" in each for each in left)


def test_also_where_it_told_nothing_new(own: Database, waiting: bytes, fresh: Writer, tmp_path: Path) -> None:
    """No event leads to it then."""
    before = backup(own)
    assert sent(own, fresh, with_mrn("4", OTHER_NUMBER)) == ["recorded"]
    her = one(own, "select patient_id from log.events order by position desc limit 1")
    assert take_up(own, fresh) == "nothing-new"
    end(own, tmp_path, her)
    assert about_her(readable(own, before)) == set()


def test_the_month_is_due_only_when_the_patient_is_destroyed(
    own: Database, waiting: bytes, fresh: Writer, tmp_path: Path
) -> None:
    before = backup(own)
    take_up(own, fresh)
    assert one(own, "select state from log.monthly_keys") == "open"
    destroyed(own, tmp_path, told_of(own, waiting))
    assert one(own, "select state from log.monthly_keys") == "due"
    assert len(about_her(readable(own, before))) == 1  # until that key has ended


def test_what_was_set_aside_under_a_receipt_of_its_own_moves_too(own: Database, desk: Writer, tmp_path: Path) -> None:
    """The database refused it; taken up again it is recorded, and both copies are the patient's."""
    work = Pipeline(own.keys).work(with_mrn("5", OTHER_NUMBER))
    assert work.aside is not None
    desk.submit(work.aside("not-storable"))
    before = backup(own)
    assert take_up(own, desk) == "recorded"
    assert one(own, "select count(*) from log.raw_messages m join log.keys using (key_id)") == 2
    assert one(own, "select count(distinct position) from log.events where type like 'pathway.%%'") == 1
    end(own, tmp_path, one(own, "select patient_id from log.keys"))
    assert about_her(readable(own, before)) == set()


def test_where_a_part_may_be_somebody_elses_it_stays_under_the_month(own: Database, desk: Writer) -> None:
    desk.submit(work("1", NEED, patient=JOHN))
    desk.submit(work("2", NEED, patient=MARIA))
    both = PatientReference(identifiers=(*JOHN.identifiers, *MARIA.identifiers))
    told = message("3", [part(CARE_PLAN_NEED, patient=JOHN), part(CARE_PLAN_NEED, patient=both)])
    assert desk.submit(told).outcome == "rejected"
    assert one(own, UNDER, b"3") == one(own, "select key_id from log.monthly_keys")
    again = message("3", [part(CARE_PLAN_NEED, patient=JOHN), part(CARE_PLAN_NEED)])._replace(replaces=True)
    assert desk.submit(again).outcome in ("recorded", "nothing-new")
    assert one(own, UNDER, b"3") == one(own, "select key_id from log.monthly_keys")


def test_bytes_that_are_gone_do_not_come_back(own: Database, waiting: bytes, fresh: Writer) -> None:
    """Someone else whom they named was destroyed meanwhile."""
    with own.connect("writer") as connection:
        (row,) = rejected_messages(connection)
        kept = raw_message(connection, own.keys, row)
    with own.connect("owner") as owner:
        owner.execute("delete from log.raw_messages where receipt_key = %s", [waiting])
    assert fresh.submit(Pipeline(own.keys).work(kept, replaces=True)).outcome == "recorded"
    assert one(own, "select count(*) from log.raw_messages where receipt_key = %s", waiting) == 0


def test_taken_up_twice_there_is_one_copy(own: Database, waiting: bytes, fresh: Writer) -> None:
    month = one(own, "select key_id from log.monthly_keys")
    work = Pipeline(own.keys).work(with_mrn("2", OTHER_NUMBER), replaces=True)
    assert [fresh.submit(work).outcome for _ in range(2)] == ["recorded", "nothing-new"]
    assert one(own, "select array_agg(stood_under::text) from log.raw_messages where receipt_key = %s", waiting) == [
        f"{{{month}}}"
    ]


def told_of(database: Database, receipt: bytes) -> UUID:
    query = """select e.patient_id from log.receipts r join log.events e on e.position = r.first_position
                where r.key = %s"""
    patient_id = one(database, query, receipt)
    assert isinstance(patient_id, UUID)
    return patient_id


def about_her(found: set[bytes]) -> set[bytes]:
    return {each for each in found if OTHER_NUMBER[1:].encode() in each}

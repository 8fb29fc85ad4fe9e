"""Destroying a patient's key: by two people, after a delay, under no hold; and what is left of the patient then."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from domain.annotation import Destroyed
from domain.care_plan import NeedRaised, RaiseNeed
from domain.facts import CARE_PLAN, PATIENT, Recorded
from domain.patient import DemographicsRecorded, Identifier, Name
from domain.retention import KeyDestroyed, LiftRetentionHold, PlaceRetentionHold
from infra.custody import destruction, holds
from infra.custody import standing as custody
from infra.custody.ledger import Ledger
from infra.custody.rotation import CustodyRefused
from infra.evidence.audit import Audit, Kept
from infra.evidence.outside import Outside
from infra.evidence.tiles import LogName
from infra.keys import FileKeyProvider, KeyRing
from infra.payloads import COLUMNS, recorded
from infra.writing.batch import Batch
from infra.writing.log import Stale
from infra.writing.work import Work
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.audit_trail import AUDIT_TRAIL
from projections.folds.folding import fold_all
from projections.live import upkeep
from projections.live.engine import Engine
from tests.conftest import Database
from tests.custody import REASON, agreed, carried_out, destroyed, ledger_in
from tests.leaves import leaf
from tests.signing import signed, verifier
from tests.works import CARE_PLAN_NEED, MARIA, aside, called, message, part, work

pytestmark = pytest.mark.postgres

BORN = DemographicsRecorded(name=Name(family="Specimen", given=("Maria",)), birth_date="1960-05-01")
OTHER = called("777777")


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> Ledger:
    return ledger_in(tmp_path, database)


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    with closing(Engine(lambda: database.connect("projector"), database.keys, STORED)) as engine:
        yield engine


@pytest.fixture
def maria(database: Database, writer: Writer, engine: Engine) -> UUID:
    writer.submit(work("maria", (PATIENT, BORN), CARE_PLAN_NEED))
    writer.submit(work("other", (PATIENT, BORN), CARE_PLAN_NEED, patient=OTHER))
    engine.catch_up()
    return patient_of(database, MARIA.identifiers[0])


def patient_of(database: Database, identifier: Identifier) -> UUID:
    found = one(
        database,
        "select patient_id from log.identifiers where digest = %s",
        database.keys.identifier_digest(identifier),
    )
    assert isinstance(found, UUID)
    return found


def one(database: Database, query: str, *arguments: Any) -> Any:
    with database.connect("auditor") as auditor:
        row = auditor.execute(query, arguments).fetchone()
    return row[0] if row else None


def history(database: Database, patient_id: UUID) -> list[Recorded]:
    with database.connect("auditor") as auditor:
        key = auditor.execute("select from log.keys where patient_id = %s", [patient_id]).fetchone()
        assert key is None, "the key is still there"
        rows = auditor.execute(
            f"select {COLUMNS} from log.events where patient_id = %b order by position", [patient_id], binary=True
        )
        return [recorded(row, None) for row in rows]


def documents_of(database: Database, patient_id: UUID) -> int:
    found = 0
    with database.connect("auditor") as auditor:
        tables = auditor.execute(
            """select distinct table_name from information_schema.columns
                where table_schema = 'read' and column_name = 'patient_id'"""
        ).fetchall()
        for (name,) in tables:
            query = sql.SQL("select count(*) from {} where patient_id = %s").format(sql.Identifier("read", name))
            row = auditor.execute(query, [patient_id]).fetchone()
            found += row[0] if row else 0
    return found


def test_what_was_sealed_is_gone_and_the_log_says_so(
    database: Database, maria: UUID, ledger: Ledger, engine: Engine
) -> None:
    assert documents_of(database, maria) >= len(STORED)
    done = destroyed(database, ledger.path.parent, maria)
    engine.catch_up()
    assert documents_of(database, maria) == 0
    assert one(database, "select count(*) from log.identifiers where patient_id = %s", maria) == 0
    assert one(database, "select count(*) from log.raw_messages where receipt_key = 'maria'") == 0
    *before, last = history(database, maria)
    assert {type(each.fact) for each in before} == {Destroyed}
    assert (last.position, last.stream_id) == (done.position, maria)
    assert isinstance(last.fact, KeyDestroyed)
    assert (last.fact.requested_by, last.fact.confirmed_by) == ("records.officer", "caldicott.guardian")
    assert [each.patient_id for each in ledger.destructions()] == [str(maria)]


def test_leaves_are_what_they_were(database: Database, maria: UUID, ledger: Ledger, tmp_path: Path) -> None:
    """Signed before and after, the whole store is found in order."""
    signed(database, tmp_path)
    destroyed(database, ledger.path.parent, maria)
    signed(database, tmp_path)
    outside = Kept(LogName.EVENTS, verifier(), Outside(tmp_path, LogName.EVENTS))
    assert list(Audit(lambda: database.connect("auditor"), lambda *_: None).run([outside])) == []
    with database.connect("auditor") as auditor, auditor.cursor(row_factory=dict_row) as rows:
        events = rows.execute("select * from log.events order by position").fetchall()
    assert [leaf(each) for each in events] == [each["leaf_hash"] for each in events]
    assert [each["position"] for each in events] == list(range(1, len(events) + 1))


def test_the_audit_trail_shows_tombstones_and_who_destroyed_what(
    database: Database, maria: UUID, ledger: Ledger
) -> None:
    destroyed(database, ledger.path.parent, maria)
    events = history(database, maria)
    trail = fold_all([AUDIT_TRAIL], events)["audit_trail"]["lines"]
    assert [line["standing"] for line in trail] == ["destroyed"] * (len(trail) - 1) + ["stands"]
    assert all(line["annotated_by"] == [trail[-1]["event"]] for line in trail[:-1])
    assert trail[0]["kind"] == "patient.registered.v1"
    assert (
        trail[-1]["text"] == f"Key destroyed: asked for by records.officer, confirmed by caldicott.guardian, {REASON}"
    )
    assert "Specimen" not in str(trail)


def test_others_are_left_as_they_were(database: Database, maria: UUID, ledger: Ledger, engine: Engine) -> None:
    other = patient_of(database, OTHER.identifiers[0])
    before = documents_of(database, other)
    destroyed(database, ledger.path.parent, maria)
    engine.catch_up()
    assert documents_of(database, other) == before
    assert one(database, "select count(*) from log.raw_messages") == 1
    with database.connect("projector") as connection:
        for each in STORED:
            assert upkeep.verify(connection, database.keys, each, lambda _done, _of: None) == []


def refused(database: Database, ledger: Ledger, patient_id: UUID, why: str) -> None:
    with pytest.raises(CustodyRefused, match=why):
        carried_out(database, ledger, patient_id)
    assert one(database, "select count(*) from log.keys where patient_id = %s", patient_id) == 1
    assert ledger.destructions() == []


def test_one_person_alone_destroys_nothing(database: Database, maria: UUID, ledger: Ledger) -> None:
    refused(database, ledger, maria, "nobody has asked")
    with database.connect("custodian") as custodian:
        destruction.request(custodian, database.keys, maria, REASON, "one.person")
        for same in ("one.person", "One.Person", " one.person "):
            with pytest.raises(CustodyRefused, match="another than the one who asked"):
                destruction.confirm(custodian, database.keys, maria, same, timedelta(0))
    refused(database, ledger, maria, "a second person must confirm")


def test_nothing_is_destroyed_before_the_time_to_object_has_passed(
    database: Database, maria: UUID, ledger: Ledger
) -> None:
    agreed(database, maria, timedelta(days=7))
    refused(database, ledger, maria, "the time to object runs until")
    request = one(database, "select destruction_id from log.destructions")
    with database.connect("custodian") as custodian, pytest.raises(psycopg.Error, match="has not passed"):
        custodian.execute("select log.destroy_key(%s, 9, '', '{}')", [request])
    with database.connect("custodian") as custodian:
        destruction.withdraw(custodian, maria, "someone.else")
        with pytest.raises(CustodyRefused, match="no destruction of this key is open"):
            destruction.withdraw(custodian, maria, "someone.else")
    refused(database, ledger, maria, "nobody has asked")


def days_to_object(database: Database) -> float:
    return float(one(database, "select extract(epoch from due_at - confirmed_at) / 86400 from log.destructions"))


def test_whoever_confirms_cannot_shorten_the_time_to_object(database: Database, maria: UUID, ledger: Ledger) -> None:
    with database.connect("owner") as owner:
        destruction.keep_to(owner, timedelta(days=7))
    with database.connect("custodian") as custodian, pytest.raises(psycopg.errors.InsufficientPrivilege):
        destruction.keep_to(custodian, timedelta(0))
    agreed(database, maria, timedelta(0))
    refused(database, ledger, maria, "the time to object runs until")
    assert days_to_object(database) == pytest.approx(7)


def test_a_longer_time_to_object_than_the_least_is_kept(database: Database, maria: UUID) -> None:
    with database.connect("owner") as owner:
        destruction.keep_to(owner, timedelta(days=7))
    agreed(database, maria, timedelta(days=30))
    assert days_to_object(database) == pytest.approx(30)


def test_a_hold_comes_first_at_every_step(database: Database, writer: Writer, maria: UUID, ledger: Ledger) -> None:
    inquiry = PlaceRetentionHold(hold="inquiry-7")
    assert holds.note(writer, maria, inquiry, "records.officer").position is not None
    assert holds.note(writer, maria, inquiry, "records.officer").position is None
    with pytest.raises(CustodyRefused, match="hold stands"):
        agreed(database, maria)
    holds.note(writer, maria, LiftRetentionHold(hold="inquiry-7"), "records.officer")
    with pytest.raises(CustodyRefused, match="no hold of this name"):
        holds.note(writer, maria, LiftRetentionHold(hold="inquiry-7"), "records.officer")
    agreed(database, maria)
    holds.note(writer, maria, inquiry, "records.officer")
    refused(database, ledger, maria, "hold stands")
    holds.note(writer, maria, LiftRetentionHold(hold="inquiry-7"), "records.officer")
    carried_out(database, ledger, maria)


def test_a_record_that_is_joined_with_another_is_parted_first(
    database: Database, writer: Writer, maria: UUID, ledger: Ledger
) -> None:
    agreed(database, maria)
    with database.connect("owner") as owner:
        other = patient_of(database, OTHER.identifiers[0])
        owner.execute("insert into log.merges values (1, %s, %s, true)", [other, maria])
    refused(database, ledger, maria, "joined with another")


@pytest.mark.parametrize("reason", ["Maria asked", "ask SPECIMEN.", "her number is 9000000009", "born 1960-05-01", " "])
def test_the_reason_stays_in_clear_and_must_not_say_who_it_is(database: Database, maria: UUID, reason: str) -> None:
    with database.connect("custodian") as custodian, pytest.raises(CustodyRefused, match="reason"):
        destruction.request(custodian, database.keys, maria, reason, "records.officer")
    assert one(database, "select count(*) from log.destructions") == 0


def test_it_is_asked_for_and_done_once(database: Database, maria: UUID, ledger: Ledger) -> None:
    agreed(database, maria)
    with pytest.raises(CustodyRefused, match="asked for already"):
        agreed(database, maria)
    with database.connect("custodian") as custodian, pytest.raises(CustodyRefused, match="confirmed already"):
        destruction.confirm(custodian, database.keys, maria, "a.third", timedelta(0))
    carried_out(database, ledger, maria)
    with pytest.raises(CustodyRefused, match="nobody has asked"):
        carried_out(database, ledger, maria)
    with pytest.raises(CustodyRefused, match="destroyed already"):
        agreed(database, maria)


def test_later_messages_are_set_aside_for_a_privacy_officer(
    database: Database, writer: Writer, maria: UUID, ledger: Ledger
) -> None:
    """The writer knows her from before; a new one asks the database. Either way nobody is made anew."""
    patients = one(database, "select count(*) from log.keys")
    destroyed(database, ledger.path.parent, maria)
    with closing(Writer(database.log(), database.keys)) as fresh:
        for number, each in enumerate((writer, fresh)):
            outcome = each.submit(work(f"late-{number}", CARE_PLAN_NEED))
            assert outcome.outcome == "rejected"
            also = Identifier(system="mrn", value="new")
            both = MARIA.model_copy(update={"identifiers": (*MARIA.identifiers, also)})
            assert each.submit(work(f"both-{number}", CARE_PLAN_NEED, patient=both)).outcome == "rejected"
    codes = "select array_agg(distinct reasons->0->>'code') from log.rejected where state = 'open'"
    assert one(database, codes) == ["key-destroyed"]
    assert one(database, "select count(*) from log.keys") == patients - 1
    assert one(database, "select count(*) from log.identifiers where patient_id = %s", maria) == 0


def test_a_command_on_the_patient_finds_nobody(database: Database, writer: Writer, maria: UUID, ledger: Ledger) -> None:
    def asked(key: str) -> str:
        return writer.submit(message(key, [part((CARE_PLAN, RaiseNeed(need=key, concern="c")), patient=maria)])).outcome

    assert asked("before") == "recorded"
    position = destroyed(database, ledger.path.parent, maria).position
    assert asked("after") == "rejected"
    assert one(database, "select reasons->0->>'code' from log.rejected") == "not-found"
    assert one(database, "select max(position) from log.events where patient_id = %s", maria) == position


def test_nobody_writes_under_a_key_that_is_being_destroyed(
    database: Database, writer: Writer, maria: UUID, ledger: Ledger
) -> None:
    """Two writers go on about her, by number and by id, while her key is destroyed under them."""
    stopping = threading.Event()
    agreed(database, maria)
    outcomes: list[str] = []

    def go_on(name: str, by: Writer) -> None:
        for number in range(10_000):
            if stopping.is_set():
                return
            key, need = f"{name}-{number}", (CARE_PLAN, NeedRaised(need=f"{name}-{number}", concern="c"))
            about = part(need, patient=MARIA if number % 2 else maria)
            outcomes.append(by.submit(message(key, [about, part(need, patient=OTHER)])).outcome)

    with closing(Writer(database.log(), database.keys)) as second:
        threads = [threading.Thread(target=go_on, args=each) for each in (("a", writer), ("b", second))]
        for each in threads:
            each.start()
        while len(outcomes) < 20:
            threading.Event().wait(0.01)
        position = carried_out(database, ledger, maria).position
        before = len(outcomes)
        while len(outcomes) < before + 20:
            threading.Event().wait(0.01)
        stopping.set()
        for each in threads:
            each.join()
    assert set(outcomes[:10]) == {"recorded"}
    assert set(outcomes[-4:]) == {"rejected"}
    assert one(database, "select max(position) from log.events where patient_id = %s", maria) == position
    assert one(database, "select count(*) from log.events where patient_id is null") == 0
    versions = "select count(*) = max(version) from log.events where stream_id = %s"
    assert one(database, versions, maria) is True


def test_a_writer_that_looked_before_does_not_make_her_anew(database: Database, maria: UUID, ledger: Ledger) -> None:
    """It had found nobody by this number, and links it to someone new after it was linked and destroyed."""
    destroyed(database, ledger.path.parent, maria)
    head = one(database, "select max(position) from log.events")
    hers, new = (
        database.keys.identifier_digest(each) for each in (MARIA.identifiers[0], Identifier(system="s", value="new"))
    )
    with closing(database.log()) as log:
        assert isinstance(log.append(head, [], Batch(links=[(new, uuid4()), (hers, uuid4())])), Stale)
        assert not isinstance(log.append(head, [], Batch(links=[(new, uuid4())])), Stale)
    assert one(database, "select count(*) from log.identifiers where digest = %s", hers) == 0


def test_an_engine_that_comes_later_folds_nothing_and_parks_nobody(
    database: Database, maria: UUID, ledger: Ledger
) -> None:
    destroyed(database, ledger.path.parent, maria)
    with database.connect("projector") as projector:
        projector.execute("update read.checkpoints set position = 0")
    with closing(Engine(lambda: database.connect("projector"), database.keys, STORED)) as late:
        late.catch_up()
    assert documents_of(database, maria) == 0
    assert one(database, "select count(*) from read.parked") == 0


def test_messages_of_several_and_those_set_aside_lose_their_bytes(
    database: Database, writer: Writer, maria: UUID, ledger: Ledger
) -> None:
    number = MARIA.identifiers[0].value
    several = message("several", [part(CARE_PLAN_NEED_2), part(CARE_PLAN_NEED_2, patient=OTHER)])
    writer.submit(several)
    for key, raw in (("names-her", f'{{"id": "{number[:3]} {number[3:6]} {number[6:]}"}}'), ("longer", f'"{number}7"')):
        writer.submit(aside_with(key, raw.encode()))
    assert destroyed(database, ledger.path.parent, maria).copies == 3
    left = set(all_of(database, "select receipt_key from log.raw_messages"))
    assert left == {b"other", b"longer"}
    states = dict(all_rows(database, "select receipt_key, state from log.rejected"))
    assert states == {b"names-her": "discarded", b"longer": "open"}


CARE_PLAN_NEED_2 = (CARE_PLAN, NeedRaised(need="2", concern="money"))


def aside_with(key: str, raw: bytes) -> Work:
    return aside(key, "", "held")._replace(key=key.encode(), raw=raw)


def all_rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect("auditor") as auditor:
        return auditor.execute(query).fetchall()


def all_of(database: Database, query: str) -> list[Any]:
    return [row[0] for row in all_rows(database, query)]


def test_running_processes_forget_the_key(database: Database, writer: Writer, maria: UUID, ledger: Ledger) -> None:
    key_id = one(database, "select key_id from log.keys where patient_id = %s", maria)
    assert database.keys.held(key_id) is not None
    destroyed(database, ledger.path.parent, maria)
    for _ in range(40):
        if database.keys.held(key_id) is None:
            break
        threading.Event().wait(0.1)
    assert database.keys.held(key_id) is None


def test_an_engine_forgets_the_key_when_the_event_passes(
    database: Database, maria: UUID, ledger: Ledger, key_provider: FileKeyProvider
) -> None:
    ring = KeyRing(key_provider)
    key_id = one(database, "select key_id from log.keys where patient_id = %s", maria)
    with database.connect("projector") as projector:
        projector.execute("update read.checkpoints set position = 0")
    with closing(Engine(lambda: database.connect("projector"), ring, STORED)) as engine:
        engine.catch_up()
        assert ring.held(key_id) is not None
        destroyed(database, ledger.path.parent, maria)
        assert documents_of(database, maria) == 0
        engine.catch_up()
    assert ring.held(key_id) is None
    assert documents_of(database, maria) == 0


def test_the_status_tells_of_all(
    database: Database, writer: Writer, maria: UUID, ledger: Ledger, key_provider: FileKeyProvider
) -> None:
    other = patient_of(database, OTHER.identifiers[0])
    holds.note(writer, other, PlaceRetentionHold(hold="claim"), "records.officer")
    agreed(database, maria, timedelta(days=7))
    with database.connect("custodian") as custodian:
        found = custody.status(custodian, key_provider, ledger)
    assert (found.held, found.unapplied) == (1, 0)
    assert [(each.patient_id, each.state) for each in found.destructions] == [(maria, "waits")]
    holds.note(writer, maria, PlaceRetentionHold(hold="inquiry"), "records.officer")
    with database.connect("custodian") as custodian:
        found = custody.status(custodian, key_provider, ledger)
    assert (found.held, [each.state for each in found.destructions]) == (2, ["held"])

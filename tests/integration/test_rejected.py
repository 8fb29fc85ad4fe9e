"""Messages set aside: seen, taken up again, discarded; through the functions and through the command line."""

import getpass
import json
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from consumers.__main__ import cli
from consumers.messages import RawMessage
from consumers.pipeline import Pipeline, ingest
from consumers.rejected import NotRetried, RejectedMessage, discard, raw_message, rejected_messages, retry
from infra.keys import FileKeyProvider, KeyRing
from infra.writing.log import Log
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.events import NHS_NUMBER, binary, diagnosis

OTHER_NUMBER = "9000000017"


def with_mrn(number: str) -> dict[str, object]:
    return diagnosis() | {"patient": {"nhs_number": number, "identifiers": [{"system": "mrn", "value": "1"}]}}


def send(writer: Writer, database: Database, *messages: RawMessage) -> list[str]:
    return [each.outcome for each in ingest(writer, Pipeline(database.keys), messages)]


def open_rows(database: Database) -> list[RejectedMessage]:
    with database.connect("reader") as reader:
        return rejected_messages(reader)


def only(database: Database) -> RejectedMessage:
    (row,) = open_rows(database)
    return row


def retried(writer: Writer, database: Database, rejected_id: UUID) -> str:
    with database.connect("writer") as connection:
        return retry(connection, database.keys, writer, Pipeline(database.keys), rejected_id).outcome


def state(database: Database, rejected_id: UUID) -> tuple[str, int, str]:
    """State, attempts, and what the receipt tells the sender now."""
    with database.connect("auditor") as auditor:
        row = auditor.execute(
            """select j.state, j.attempts, r.outcome from log.rejected j join log.receipts r on r.key = j.receipt_key
                where j.rejected_id = %s""",
            [rejected_id],
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def test_a_retry_in_vain_stays_open_with_one_attempt_more(writer: Writer, database: Database) -> None:
    assert send(writer, database, binary("1", diagnosis("no code"))) == ["rejected"]
    row = only(database)
    assert retried(writer, database, row.rejected_id) == "rejected"
    assert state(database, row.rejected_id) == ("open", 2, "rejected")
    assert only(database).reasons == row.reasons


def test_a_retry_after_the_cause_is_gone_records_and_resolves(writer: Writer, database: Database) -> None:
    send(writer, database, binary("1", with_mrn(NHS_NUMBER)), binary("2", with_mrn(OTHER_NUMBER)))
    row = only(database)
    # Other keys hold other indexes, so a store without the first link stands for one in which it was mended.
    with database.connect("owner") as owner:
        owner.execute("delete from log.identifiers where position = 0")
    with closing(Writer(database.log(), database.keys)) as fresh:
        assert retried(fresh, database, row.rejected_id) == "recorded"
    assert state(database, row.rejected_id) == ("resolved", 2, "recorded")
    assert open_rows(database) == []
    assert send(writer, database, binary("2", with_mrn(OTHER_NUMBER))) == ["recorded"]


def test_a_contradiction_is_retried_without_touching_the_first_receipt(writer: Writer, database: Database) -> None:
    send(writer, database, binary("1", diagnosis("C50.9")), binary("1", diagnosis("C61")))
    row = only(database)
    assert retried(writer, database, row.rejected_id) == "rejected"
    assert state(database, row.rejected_id) == ("open", 2, "rejected")
    assert send(writer, database, binary("1", diagnosis("C50.9"))) == ["recorded"]


def test_the_bytes_are_kept_as_they_came(writer: Writer, database: Database) -> None:
    message = binary("1", b'\xff{"half', traceparent="00-a-b-01")
    send(writer, database, message)
    with database.connect("writer") as connection:
        assert raw_message(connection, database.keys, only(database)) == message


def test_discarded_means_closed_with_a_reason(writer: Writer, database: Database) -> None:
    send(writer, database, binary("1", b"{"))
    row = only(database)
    with database.connect("writer") as connection:
        assert discard(connection, row.rejected_id, "sent by a test system")
        assert not discard(connection, row.rejected_id, "again")
        (closed,) = rejected_messages(connection, "discarded")
    assert (closed.closing_reason, open_rows(database)) == ("sent by a test system", [])
    with pytest.raises(NotRetried):
        retried(writer, database, row.rejected_id)


@pytest.fixture
def command_line(database: Database, tmp_path: Path) -> tuple[CliRunner, KeyRing]:
    """Commands that speak to this database, with a key file of their own."""
    key_file = tmp_path / "keys.json"
    FileKeyProvider.generate(key_file)
    environment = {
        "ENVIRONMENT": "development",
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL_WRITER": database.url("writer"),
        "DATABASE_URL_AUDITOR": database.url("auditor"),
        "KEY_FILE": str(key_file),
        "COLUMNS": "200",
    }
    return CliRunner(env=environment), KeyRing(FileKeyProvider(key_file))


def test_the_command_line_lists_shows_retries_and_discards(
    database: Database, command_line: tuple[CliRunner, KeyRing]
) -> None:
    runner, keys = command_line
    with closing(Writer(Log(lambda: database.connect("writer"), keys), keys)) as writer:
        ingest(writer, Pipeline(keys), [binary("1", diagnosis("Rumpelstiltskin")), binary("2", b"{")])

    listed = json.loads(runner.invoke(cli, ["rejected", "list", "--json"]).stdout)
    codes = {each["reasons"][0]["code"]: each["rejected_id"] for each in listed}
    assert set(codes) == {"invalid-field", "invalid-json"}
    assert "invalid-json" in runner.invoke(cli, ["rejected", "list"]).stdout

    shown = runner.invoke(cli, ["rejected", "show", codes["invalid-field"]]).stdout
    assert "test/0/0" in shown
    assert "Rumpel" not in shown
    assert "Rumpel" in runner.invoke(cli, ["rejected", "show", codes["invalid-field"], "--raw"]).stdout
    with database.connect("auditor") as auditor:
        noted = auditor.execute("select actor, role, purpose, outcome, projection from access.reads").fetchall()
    assert noted == [(f"terminal/{getpass.getuser()}", "operator", "message-repair", "read", "raw-message")]

    again = runner.invoke(cli, ["rejected", "retry", codes["invalid-field"], "--json"])
    assert json.loads(again.stdout) == {codes["invalid-field"]: "rejected"}
    assert runner.invoke(cli, ["rejected", "discard", codes["invalid-json"]]).exit_code == 2
    assert runner.invoke(cli, ["rejected", "discard", codes["invalid-json"], "--reason", "a test"]).exit_code == 0
    left = json.loads(runner.invoke(cli, ["rejected", "list", "--json"]).stdout)
    assert [(each["attempts"], each["rejected_id"]) for each in left] == [(2, codes["invalid-field"])]

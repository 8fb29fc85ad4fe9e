"""Exports of a signed log in a real database, checked by the verifier alone."""

import getpass
import io
import json
import time
import zipfile
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN, PATIENT
from domain.patient import DemographicsRecorded, Name
from infra.evidence.export import EvidenceBroken
from infra.evidence.heads import heads_of, indexed, open_heads
from infra.evidence.heads_keeper import HeadsKeeper
from infra.evidence.merkle import root
from infra.evidence.notes import Signer, to_base64
from infra.evidence.outside import Outside
from infra.evidence.sealing import Measurements, Sealing
from infra.evidence.signer import SigningRefused
from infra.keys import FileKeyProvider
from infra.writing.writer import Writer
from projections.catalogue import PROJECTIONS
from projections.commands import evidence as evidence_cli
from projections.live.engine import Engine
from projections.reading.evidence import NotYetSealed, OlderUnknown
from projections.reading.reads import Reader, Refused
from tests.conftest import Database
from tests.custody import destroyed
from tests.outsider import Outsider, Verdict
from tests.prints import printed_words
from tests.sealed_world import AUDITOR, EXPORTS, KEY, exported, exports, keeper, make_heads, seal
from tests.signing import NAME, PRIVATE, fill, signed, signer
from tests.works import called, work

pytestmark = pytest.mark.postgres

JOHN = called("1")
# The first event a day earlier, with the leaf that goes with it.
_EARLIER = """
    update log.events set recorded_at = recorded_at - interval '1 day',
           leaf_hash = log.leaf(position, recorded_at - interval '1 day', stream_id, version, patient_id, patient_seq,
                                type, occurred_at, occurred_precision, payload, key_id)
     where position = 1"""


@pytest.fixture(scope="module")
def outsider(tmp_path_factory: pytest.TempPathFactory) -> Outsider:
    return Outsider(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def told(database: Database, writer: Writer) -> Database:
    """Maria with a name and two needs, John with one need between them; folded."""
    named = DemographicsRecorded(name=Name(family="Specimen <b>", given=("Maria",)))
    writer.submit(work("1", (PATIENT, named), (CARE_PLAN, NeedRaised(need="1", concern="work"))))
    writer.submit(work("2", (CARE_PLAN, NeedRaised(need="1", concern="money")), patient=JOHN))
    writer.submit(work("3", (CARE_PLAN, NeedRaised(need="2", concern="food & drink"))))
    engine = Engine(lambda: database.connect("projector"), database.keys, PROJECTIONS)
    engine.catch_up()
    engine.close()
    return database


def patient_of(database: Database, position: int) -> UUID:
    with database.connect("auditor") as auditor:
        row = auditor.execute("select patient_id from log.events where position = %s", [position]).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def head(database: Database) -> int:
    with database.connect("auditor") as auditor:
        row = auditor.execute("select max(position) from log.events").fetchone()
    assert row is not None
    return int(row[0])


def maria(database: Database) -> UUID:
    return patient_of(database, 1)


def accesses(database: Database) -> list[tuple[object, ...]]:
    with database.connect("auditor") as auditor:
        return auditor.execute(
            "select patient_id, actor, outcome, projection, through_position from access.reads order by access_id"
        ).fetchall()


def opened(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def checked(outsider: Outsider, folder: Path, content: bytes, *more: str) -> Verdict:
    path = folder / "export.zip"
    path.write_bytes(content)
    return outsider.run(str(path), "--key", KEY, *more)


def test_an_export_is_proved_and_can_be_read(told: Database, tmp_path: Path, outsider: Outsider) -> None:
    seal(told, tmp_path)
    made = exported(told, maria(told))
    found = checked(outsider, tmp_path, made.content)
    assert found.code == 0, found.told
    assert made.size == made.head == head(told)
    files = opened(made.content)
    page = files["report.html"].decode()
    assert "food &amp; drink" in page
    assert "Specimen &lt;b&gt;" in page
    assert "<script" not in page
    assert "money" not in page
    printed = printed_words(files["report.pdf"])
    assert "food & drink" in printed
    assert "Specimen <b>" in printed
    assert "money" not in printed
    words = b"".join(content for name, content in files.items() if name.startswith("payloads/"))
    assert b"food & drink" in words
    assert b"money" not in words


def test_who_made_it_is_in_the_access_log(told: Database, tmp_path: Path) -> None:
    seal(told, tmp_path)
    exported(told, maria(told))
    assert accesses(told) == [(maria(told), "auditor-1", "export", "evidence", head(told))]


def test_somebody_elses_patient_and_nobody_are_refused_alike_and_noted(told: Database, tmp_path: Path) -> None:
    seal(told, tmp_path)
    stranger = Reader(actor="clinician-1", role="clinician", organisation="RYY", professional="x")
    nobody = uuid4()
    for patient_id in (maria(told), nobody, None):
        with pytest.raises(Refused):
            exports(told).export(patient_id, stranger)
    assert [row[:3] for row in accesses(told)] == [
        (maria(told), "clinician-1", "refused"), (nobody, "clinician-1", "refused"), (None, "clinician-1", "refused"),
    ]  # fmt: skip


def test_words_are_left_out_for_roles_that_may_not_read_them(
    told: Database, tmp_path: Path, outsider: Outsider
) -> None:
    seal(told, tmp_path)
    made = exported(told, maria(told), with_words=False)
    files = opened(made.content)
    assert checked(outsider, tmp_path, made.content).code == 0
    assert not [name for name in files if name.startswith("payloads/")]
    everything = b"".join(content for name, content in files.items() if not name.endswith(".bin"))
    assert b"food" not in everything
    assert b"Specimen" not in everything
    assert {event["text"] for event in json.loads(files["events.json"])} == {"withheld"}


def test_proofs_outlive_the_key(told: Database, tmp_path: Path, outsider: Outsider) -> None:
    patient_id = maria(told)
    destroyed(told, tmp_path, patient_id)
    seal(told, tmp_path)
    made = exported(told, patient_id)
    assert checked(outsider, tmp_path, made.content).code == 0
    files = opened(made.content)
    events = json.loads(files["events.json"])
    assert [event["text"] for event in events] == [*["destroyed"] * (len(events) - 1), "clear"]
    assert b"food" not in made.content
    page = files["report.html"].decode()
    assert page.count("The words are gone") == len(events) - 1
    assert "Key destroyed" in page


def test_what_came_after_the_heads_is_not_in_it(
    told: Database, writer: Writer, tmp_path: Path, outsider: Outsider
) -> None:
    seal(told, tmp_path)
    size = head(told)
    writer.submit(work("4", (CARE_PLAN, NeedRaised(need="3", concern="sleep"))))
    made = exported(told, maria(told))
    assert (made.size, made.head) == (size, size + 1)
    assert checked(outsider, tmp_path, made.content).code == 0
    assert json.loads(opened(made.content)["manifest.json"])["log_events_when_made"] == size + 1


def test_it_shows_that_the_log_grew_from_an_older_checkpoint(
    told: Database, writer: Writer, tmp_path: Path, outsider: Outsider
) -> None:
    old = seal(told, tmp_path)
    size = head(told)
    (tmp_path / "kept").write_bytes(old)
    writer.submit(work("4", (CARE_PLAN, NeedRaised(need="3", concern="sleep"))))
    seal(told, tmp_path)
    for older in (old, size):
        made = exported(told, maria(told), older=older)
        found = checked(outsider, tmp_path, made.content, "--checkpoint", str(tmp_path / "kept"))
        assert found.code == 0, found.told
        assert f"only grown since it had {size} events" in found.told
    for unknown in (b"", size - 1, old.replace(b"a", b"b")):
        with pytest.raises(OlderUnknown):
            exported(told, maria(told), older=unknown)


def test_nothing_is_exported_before_it_is_signed(told: Database, writer: Writer, tmp_path: Path) -> None:
    with pytest.raises(NotYetSealed):
        exported(told, maria(told))
    seal(told, tmp_path)
    writer.submit(work("9", (CARE_PLAN, NeedRaised(need="1", concern="work")), patient=called("2")))
    with pytest.raises(NotYetSealed):
        exported(told, patient_of(told, head(told)))


def test_merged_records_are_one_export(told: Database, writer: Writer, tmp_path: Path, outsider: Outsider) -> None:
    john = patient_of(told, 4) if patient_of(told, 4) != maria(told) else patient_of(told, 5)
    with told.connect("owner") as owner:
        owner.execute("insert into log.merges values (%s, %s, %s, true)", [head(told), john, maria(told)])
    seal(told, tmp_path)
    made = exported(told, maria(told))
    assert checked(outsider, tmp_path, made.content).code == 0
    manifest = json.loads(opened(made.content)["manifest.json"])
    assert {each["patient_id"] for each in manifest["patients"]} == {str(maria(told)), str(john)}
    assert {row[0] for row in accesses(told)} == {maria(told), john}
    assert "money" in opened(made.content)["report.html"].decode()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("update log.events set occurred_at = occurred_at + interval '1 day' where position = 1", "at position 1"),
        ("update log.events set payload = payload || 'x'::bytea where position = 1", "position 1 does not open"),
        ("update log.events set payload = ''::bytea, leaf_hash = sha256('') where position = 1", "does not open"),
        (_EARLIER, "position 1 is not in the signed log"),
        ("delete from log.events where position = 5", "does not hold all"),
        ("update log.patient_heads set events = 1", "other events of patient"),
    ],
    ids=["time", "payload", "payload and leaf", "time and leaf", "deleted", "heads"],
)
def test_an_altered_database_exports_nothing(told: Database, tmp_path: Path, damage: str, words: str) -> None:
    seal(told, tmp_path)
    patient_id = maria(told)
    with told.connect("owner") as owner:
        owner.execute("alter table log.events disable trigger user")
        owner.execute(damage)
    with pytest.raises(EvidenceBroken, match=words):
        exported(told, patient_id)


def test_another_key_than_the_heads_name_signs_nothing(told: Database, tmp_path: Path) -> None:
    seal(told, tmp_path)
    with pytest.raises(EvidenceBroken, match="another key"):
        exports(told, PRIVATE).export(maria(told), AUDITOR)
    assert EXPORTS is not PRIVATE


def anew(database: Database) -> tuple[int, bytes]:
    """Number and root of the heads, from all leaves at once."""
    with database.connect("auditor") as auditor:
        rows = auditor.execute(
            """select uuid_send(patient_id), leaf_hash from log.events where patient_id is not null
                order by patient_id, patient_seq""",
            binary=True,
        ).fetchall()
    index, heads_root = indexed(head.entry() for head in heads_of(rows))
    return index.size, heads_root


def test_heads_grown_in_steps_are_those_made_at_once(database: Database, tmp_path: Path) -> None:
    for first, last in ((1, 7), (8, 8), (9, 2600), (2601, 6000)):
        fill(database, first, last)
        made = make_heads(database, tmp_path)
        assert made is not None
        size, heads_root = anew(database)
        lines = made.note.decode().splitlines()
        assert lines[:2] == [f"{NAME}/heads", str(size)]
        assert lines[2:4] == [to_base64(heads_root), f"log {last}"]
    assert make_heads(database, tmp_path) is None


def test_heads_wait_for_their_turn(database: Database, tmp_path: Path) -> None:
    """They take a twentieth of the time at most."""
    fill(database, 1, 100)
    checkpoint = signed(database, tmp_path).checkpoint
    keeping = keeper()
    named = Signer(NAME, PRIVATE)
    with database.connect("sealer") as sealer:
        assert keeping.when_due(sealer, named, checkpoint) is not None
        fill(database, 101, 110)
        later = signed(database, tmp_path).checkpoint
        assert keeping.when_due(sealer, named, later) is None
        assert keeping.make(sealer, named, later) is not None


@pytest.fixture
def here(told: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The environment of a command on this database, with keys of its own."""
    keys = tmp_path / "keys.json"
    FileKeyProvider.generate(keys)
    (tmp_path / "export.pem").write_bytes(EXPORTS.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    given = {
        "ENVIRONMENT": "production", "DATABASE_URL_READER": told.url("reader"), "KEY_FILE": str(keys),
        "EXPORT_KEY_FILE": str(tmp_path / "export.pem"),
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return told


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(evidence_cli.cli, ["export", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return 1, str(done.exception)
    return done.exit_code, done.output


def test_the_command_writes_an_export_once(here: Database, tmp_path: Path, outsider: Outsider) -> None:
    old = seal(here, tmp_path)
    (tmp_path / "kept").write_bytes(old)
    out = tmp_path / "out.zip"
    asked = (str(maria(here)), "--out", str(out), "--since-checkpoint", str(tmp_path / "kept"), "--without-words")
    code, output = run(*asked, "--json")
    assert code == 0, output
    assert json.loads(output) == {
        "file": str(out), "bytes": out.stat().st_size, "checkpoint": head(here), "not_in_it": 0, "key": KEY,
    }  # fmt: skip
    assert out.stat().st_mode & 0o077 == 0
    found = outsider.run(str(out), "--key", KEY, "--checkpoint", str(tmp_path / "kept"))
    assert found.code == 0, found.told
    assert accesses(here)[-1][1:3] == (f"terminal/{getpass.getuser()}", "export")
    again, why = run(*asked)
    assert again == 1
    assert "cannot be written: File exists" in why


def test_the_command_says_what_is_in_its_way(here: Database, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    (tmp_path / "kept").write_bytes(b"no note")

    def refusal(patient: object, *more: str) -> str:
        code, why = run(str(patient), "--out", str(out), *more)
        assert code == 1
        assert not out.exists()
        return why

    assert "`python -m infra checkpoint` signs now" in refusal(maria(here), "--without-words")
    seal(here, tmp_path)
    assert "no such patient" in refusal(uuid4())
    assert "a UUID" in refusal("maria")
    assert "not one of this log's" in refusal(maria(here), "--since-checkpoint", str(tmp_path / "kept"))


def sealing_of(database: Database, folder: Path, keeping: HeadsKeeper) -> Sealing:
    measurements = Measurements(CollectorRegistry())
    return Sealing(lambda: database.connect("sealer"), [signer(folder)], None, measurements, 5.0, keeping)


def sizes_of_heads(database: Database) -> list[int]:
    with database.connect("auditor") as auditor:
        return [row[0] for row in auditor.execute("select size from log.heads order by size")]


def test_the_sealer_makes_heads_with_its_checkpoints_and_keeps_some_outside(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 20)
    keeping = HeadsKeeper(EXPORTS.public_key().public_bytes_raw(), Outside(tmp_path, "heads"))
    sealing = sealing_of(database, tmp_path, keeping)
    with database.connect("sealer") as sealer:
        sealing.round(sealer)
        first = Outside(tmp_path, "heads").newest()
        assert first is not None
        assert open_heads(first, Signer(NAME, PRIVATE).verifier).log_size == 20
        assert (tmp_path / "heads.checkpoint").read_bytes() == first
        fill(database, 21, 30)
        until = time.monotonic() + 30.0
        while sizes_of_heads(database) == [20] and time.monotonic() < until:
            sealing.round(sealer)
    assert sizes_of_heads(database) == [20, 30]
    assert Outside(tmp_path, "heads").newest() == first


# A patient's last event is taken away, and what is kept of the patient is made to agree.
_HIDE = (
    "delete from log.events where position = 10",
    "update log.patient_heads set events = 9, root = %s where patient_id = md5('patient0')::uuid",
)


def test_heads_are_refused_where_an_event_is_gone(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 300)
    make_heads(database, tmp_path)
    with database.connect("auditor") as auditor:
        leaves = auditor.execute("select leaf_hash from log.events where position < 10 order by position").fetchall()
    with database.connect("owner") as owner:
        owner.execute("alter table log.events disable trigger user")
        owner.execute(_HIDE[0])
        owner.execute(_HIDE[1], [root(row[0] for row in leaves)])
    fill(database, 301, 310)
    sealing = sealing_of(database, tmp_path, keeper())
    with database.connect("sealer") as sealer, pytest.raises(SigningRefused, match="309 of 310 events") as refused:
        sealing.round(sealer)
    assert refused.value.reason == "heads-incomplete"
    assert sizes_of_heads(database) == [300]

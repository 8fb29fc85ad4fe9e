"""From a file on a disk to a record, an audit trail and a replay: published to Kafka, read over HTTP."""

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.postgres import EmbeddedPostgres
from infra.settings import DATABASE
from tests.e2e.test_run import Run

ROOT = Path(__file__).parents[2]
FIXTURES = sorted((ROOT / "tests" / "fixtures" / "fhir").glob("*.json"))
EXAMPLES = Path(os.environ.get("EXAMPLES_DIR") or ROOT / "../shared/examples")
SETTLE_SECONDS = 60

pytestmark = [pytest.mark.postgres, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def run(open_folder: Path) -> Iterator[Run]:
    """One system for the module: its tests publish about different people."""
    folder = open_folder / "messages"
    folder.mkdir(mode=0o755)
    run = Run(folder, DEMO_PATIENTS="0")
    run.start()
    run.wait_until_ready()
    yield run
    run.end(signal.SIGTERM)


class Client:
    """Reads as an auditor."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._token = run.command("infra", "token", "auditor").stdout.strip()

    def ask(self, path: str, body: Any = None) -> Any:
        door = http.client.HTTPConnection("127.0.0.1", self._run.port, timeout=20)
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        door.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
        answer = door.getresponse()
        said = json.loads(answer.read())
        door.close()
        assert answer.status == 200, said
        return said


def publish(run: Run, *files: Path) -> None:
    """Sends the files and waits until each has a receipt and every projection has caught up."""
    before = receipts(run)
    sent = run.command("consumers", "publish", *map(str, files))
    assert sent.returncode == 0, sent.stderr
    deadline = time.monotonic() + SETTLE_SECONDS
    while receipts(run) < before + len(files) or any(each["behind"] for each in status(run)):
        assert time.monotonic() < deadline, run.said()
        time.sleep(0.3)


def receipts(run: Run) -> int:
    lines = (run.folder / "data" / "settings.env").read_text().splitlines()
    port = int(dict(line.split("=", 1) for line in lines)["POSTGRES_PORT"])
    url = EmbeddedPostgres(run.folder / "data", port).url("auditor", DATABASE)
    with psycopg.connect(url) as auditor:
        row = auditor.execute("select count(*) from log.receipts").fetchone()
    return int(row[0]) if row else 0


def status(run: Run) -> list[dict[str, Any]]:
    said = json.loads(run.command("projections", "status", "--json").stdout)
    rows: list[dict[str, Any]] = said["projections"]
    return rows


def test_own_fixtures_are_read_and_replayed(run: Run) -> None:
    publish(run, *FIXTURES)
    client = Client(run)
    bundle = json.loads((ROOT / "tests/fixtures/fhir/breast_bundle.json").read_bytes())
    person = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    patient_id = found(client, person)
    record = client.ask(f"/v1/patients/{patient_id}/record")
    assert record["pathways"][0]["diagnosis"]["icd10"].startswith("C50")
    lines = client.ask(f"/v1/patients/{patient_id}/history?limit=200")["lines"]
    assert any("iagnosis" in line["text"] for line in lines)
    rejected = json.loads(run.command("consumers", "rejected", "list", "--json").stdout)
    codes = {reason["code"] for each in rejected for reason in each["reasons"]}
    assert {"patch-not-a-resource", "call-not-a-fact"} <= codes


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no public examples: set EXAMPLES_DIR to a folder of them")
def test_real_examples_end_in_events_or_in_reasons_and_replay_at_three_dates(run: Run) -> None:
    files = [each for each in sorted(EXAMPLES.rglob("*")) if each.is_file() and each.name != "MANIFEST.csv"]
    contents = {each.read_bytes() for each in files}
    unique = [next(each for each in files if each.read_bytes() == content) for content in contents]
    publish(run, *unique)
    before = receipts(run)
    assert run.command("consumers", "publish", *map(str, files)).returncode == 0
    time.sleep(3)
    assert receipts(run) == before, "a file sent twice is known"

    client = Client(run)
    synthea = [json.loads(each.read_bytes()) for each in files if "SYNTHEA" in each.parts]
    assert synthea
    for bundle in synthea:
        _is_read_and_replayed(client, bundle)


def _is_read_and_replayed(client: Client, bundle: dict[str, Any]) -> None:
    person = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    patient_id = found(client, person)
    record = client.ask(f"/v1/patients/{patient_id}/record")
    diagnosed = [each["diagnosis"] for each in record["pathways"] if each["diagnosis"] != "not-recorded"]
    assert diagnosed
    assert [each for each in record["appointments"] if each["status"]["value"] == "attended"]
    on = diagnosed[0]["occurred"][:10]
    states = [
        client.ask(f"/v1/patients/{patient_id}/replay?projection=record&as_of={day}")["document"]
        for day in ("1940-01-01", on, "2026-11-01")
    ]
    assert [any(each["diagnosis"] != "not-recorded" for each in state["pathways"]) for state in states] == [
        False, True, True,
    ]  # fmt: skip
    counts = [len(state["appointments"]) for state in states]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]


def found(client: Client, person: dict[str, Any]) -> str:
    names = person["name"]
    family = next((each for each in names if each.get("use") == "official"), names[0])["family"]
    answer = client.ask("/v1/patients/search", {"family": family, "birth_date": person["birthDate"]})
    assert len(answer["patients"]) == 1, answer
    patient_id: str = answer["patients"][0]["patient_id"]
    return patient_id

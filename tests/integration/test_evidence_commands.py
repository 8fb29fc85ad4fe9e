"""`python -m infra checkpoint` and `verify`, as an operator and an auditor run them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from infra.children import free_port
from infra.evidence import signing_key
from infra.evidence.checkpoints import open_checkpoint
from infra.evidence.heads import sign_heads
from infra.evidence.notes import Signer, Verifier
from infra.evidence.topic import CheckpointTopic
from infra.kafka_broker import KafkaBroker
from infra.settings import Role
from infra.topics import Topic, create_topics
from tests.conftest import Database
from tests.signing import fill, tampering

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
NAME = "pathway.example/log"


class Operator:
    """One installation's settings, and the commands over it. Its Kafka does not exist, as in a development system."""

    def __init__(self, database: Database, folder: Path) -> None:
        for name in ("key.pem", "exports.pem"):
            signing_key.generate(folder / name)
        self.folder = folder
        self.environment = {
            **os.environ,
            **{f"DATABASE_URL_{role.upper()}": database.url(role) for role in Role},
            "ENVIRONMENT": "development",
            "DATA_DIR": str(folder / "data"),
            "KAFKA_PORT": str(free_port()),
            "LOG_ORIGIN": NAME,
            "CHECKPOINT_KEY_FILE": str(folder / "key.pem"),
            "EXPORT_KEY_FILE": str(folder / "exports.pem"),
            "CHECKPOINTS_DIR": str(folder / "notes"),
            "CHECKPOINT_SECONDS": "0.2",
        }

    def __call__(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "infra", *command],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        arguments = [sys.executable, "-m", "infra", "checkpoint", "run"]
        with (self.folder / "said").open("wb") as said:
            process = subprocess.Popen(arguments, cwd=ROOT, env=self.environment, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(20) == 0, (self.folder / "said").read_text()


@pytest.fixture
def operator(database: Database, tmp_path: Path) -> Operator:
    return Operator(database, tmp_path)


def test_sign_show_and_verify(operator: Operator, database: Database) -> None:
    assert "nothing to sign" in operator("checkpoint").stdout
    fill(database, 1, 20)
    (told,) = json.loads(operator("checkpoint", "--json").stdout)
    key, other = operator("checkpoint", "keys").stdout.splitlines()
    assert json.loads(operator("checkpoint", "keys", "--json").stdout) == {"events": key, "accesses": other}
    checkpoint = open_checkpoint(told["note"].encode(), [Verifier.parse(key)])
    assert (told["origin"], told["size"]) == (NAME, 20) == checkpoint[:2]
    assert NAME in operator("checkpoint").stdout

    (operator.folder / "copy").write_text(told["note"])
    verified = operator("verify", "--json", "--key", key, "--checkpoint", str(operator.folder / "copy"))
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["logs"][0] == {
        "log": "events", "leaves": 20, "checkpoints": 2, "through": 20, "former": 0
    }  # fmt: skip
    told_of = json.loads(verified.stdout)
    assert (told_of["heads"], told_of["topic"]) == (
        {"signed": 1, "recomputed": 1, "through": 20, "former": 0}, False
    )  # fmt: skip
    shown = operator("verify").stdout
    assert "Everything is as it was recorded" in shown
    assert "1 were signed, the last of 20 events; 1 were made anew" in " ".join(shown.split())


def test_a_copy_of_the_heads_is_compared_too(operator: Operator, database: Database) -> None:
    fill(database, 1, 20)
    operator("checkpoint")
    (operator.folder / "copy").write_bytes((operator.folder / "notes" / "heads.checkpoint").read_bytes())
    with tampering(database) as superuser:
        superuser.execute("delete from log.heads")
    (operator.folder / "notes" / "heads.checkpoint").unlink()
    for journal in (operator.folder / "notes" / "heads").iterdir():
        journal.unlink()
    verified = operator("verify", "--json", "--checkpoint", str(operator.folder / "copy"))
    assert verified.returncode == 1
    assert "heads of 20 events are kept outside, and the database does not have them" in verified.stdout


@pytest.mark.kafka
def test_what_was_published_is_compared_too(operator: Operator, database: Database, kafka_broker: KafkaBroker) -> None:
    name = f"test-{uuid4().hex[:12]}"
    connection = {"bootstrap_servers": kafka_broker.bootstrap}
    operator.environment |= {"KAFKA_BOOTSTRAP": kafka_broker.bootstrap, "CHECKPOINTS_TOPIC": name}
    fill(database, 1, 20)
    (silent,) = json.loads(operator("verify", "--json").stdout)["findings"]
    assert silent["what"] == f"the topic was not compared: {name}: there is no such topic"
    create_topics(connection, [Topic(name, partitions=1, configuration={"retention.ms": "-1"})])
    operator("checkpoint")
    verified = operator("verify", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["topic"]) == (0, True)

    signer = Signer(NAME, signing_key.read(operator.folder / "key.pem"))
    exports = Signer(f"{NAME}/exports", signing_key.read(operator.folder / "exports.pem")).verifier
    topic = CheckpointTopic(connection, name)
    topic.publish(f"{NAME}/heads", sign_heads(signer, 3, bytes(32), 30, exports))
    topic.close()
    found = json.loads(operator("verify", "--json").stdout)["findings"]
    assert {(each["check"], each["position"]) for each in found} == {("heads", 30), ("heads", 21)}


def test_what_is_wrong_is_named(operator: Operator, database: Database) -> None:
    fill(database, 1, 20)
    operator("checkpoint")
    with tampering(database) as superuser:
        superuser.execute("update log.events set payload = '' where position = 7")
    verified = operator("verify")
    assert verified.returncode == 1
    assert "events, leaves at position 7: what is stored is not what its leaf was made of" in verified.stdout
    (found,) = json.loads(operator("verify", "--json").stdout)["findings"]
    assert (found["check"], found["position"]) == ("leaves", 7)

    for wrong in ("nonsense", f"{NAME}+00000000+AAAA"):
        refused = operator("verify", "--key", wrong)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert len(refused.stderr.splitlines()) == 1


def test_a_restore_is_refused_until_an_operator_opens_a_new_epoch(operator: Operator, database: Database) -> None:
    fill(database, 1, 20)
    operator("checkpoint")
    untouched = operator("checkpoint", "reopen", "--reason", "restore")
    assert untouched.returncode == 1
    assert "nothing to open anew" in untouched.stderr
    with tampering(database) as superuser:
        superuser.execute("delete from log.events where position > 10")
        for table in ("checkpoints", "heads", "heads_index", "patient_heads"):
            superuser.execute(f"delete from log.{table}")
    refused = operator("checkpoint")
    assert refused.returncode == 1
    assert refused.stderr == "error: events: 10 leaves, and 20 were signed\n"
    assert operator("checkpoint", "reopen", "--reason", "restore").returncode == 0
    told = json.loads(operator("checkpoint", "--json").stdout)
    assert [(each["log"], each["size"]) for each in told] == [("events", 11), ("accesses", 1)]
    assert all(each["origin"].startswith(NAME) and each["origin"] != NAME for each in told)
    assert operator("verify").returncode == 0


def test_beside_a_running_process_the_command_shows_what_that_one_signs(operator: Operator, database: Database) -> None:
    fill(database, 1, 20)
    with operator.running():
        (first,) = json.loads(operator("checkpoint", "--json").stdout)
        fill(database, 21, 30)
        (second,) = json.loads(operator("checkpoint", "--json").stdout)
    assert (first["size"], second["size"]) == (20, 30)


def test_a_missing_key_is_one_line(operator: Operator) -> None:
    (operator.folder / "key.pem").unlink()
    for command in ("checkpoint", "verify"):
        done = operator(command)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line == "error: the signing key key.pem cannot be read: FileNotFoundError"

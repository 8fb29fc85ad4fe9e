"""P8: the evidence of one person in a large log: exporting it, and checking it where nothing of ours is known.

The export is what the API makes: authorised, noted, read, opened, proved, put into words, signed and zipped. The check
is the stand-alone verifier as a command, the start of Python included. The persons' events lie all over the log.
The log of the bar's own size, a million, takes minutes to make and sign.
"""

import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consumers.messages import RawMessage
from consumers.pipeline import Pipeline
from infra.evidence import verify
from infra.evidence.heads_keeper import HeadsKeeper
from infra.evidence.notes import Signer
from infra.evidence.outside import Outside
from infra.evidence.signer import LogSigner
from infra.evidence.tiles import LogName
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.reading.evidence import Exports
from projections.reading.reads import Reader
from projections.tables import generations
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.lab import Lab
from tests.benchmarks.traffic import patients, reports
from tests.conftest import Database

EVENTS = 200
WATCHED = 5
SIZE, LARGE = 200_000, 1_000_000
STEPS = 20
TURNS = 5
MOST_MS = 200.0
ORIGIN = "bench.example/log"
AUDITOR = Reader(actor="auditor", role="auditor", any_patient=True, purpose="clinical-audit")
# Events of others at positions %(first)s to %(last)s, some ten to a patient, with their true leaves.
_OTHERS = """
    insert into log.events
    select n, r, s, 1, p, q, 'pathway.opened.v1', r, 'I', b, k,
           log.leaf(n, r, s, 1, p, q, 'pathway.opened.v1', r, 'I', b, k)
      from (select max(recorded_at) as r from log.events) as last,
           generate_series(%(first)s::bigint, %(last)s::bigint) as n,
           lateral (select md5('stream' || n)::uuid as s, md5('patient' || n / 10)::uuid as p,
                           (n %% 10 + 1)::integer as q, decode(repeat(md5(n::text), 10), 'hex') as b,
                           md5('key' || n / 10)::uuid as k) as made
     order by n"""
_HEAD = "select coalesce(max(position), 0) from log.events"
_SEQ = "select patient_seq from log.events where position = %s"


def run(lab: Lab) -> list[Figure]:
    return _measured(lab, SIZE)


def run_large(lab: Lab) -> list[Figure]:
    return _measured(lab, LARGE)


def _measured(lab: Lab, size: int) -> list[Figure]:
    lab.say(f"P8: a log of {size:,} events")
    database = lab.database("p8")
    watched = _filled(database, size)
    lab.say("P8: signing")
    private, exporting = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    heads_ms = _sealed(database, lab.folder / "p8", private, exporting)
    lab.say("P8: exporting and checking")
    exports = Exports(lambda: database.connect("reader"), database.keys, exporting, "bench")
    key = str(Signer(ORIGIN, private).verifier)
    exporting_ms, checking_ms, files = [], [], []
    busy = Busy()
    for turn in range(TURNS):
        for patient_id in watched:
            path = lab.folder / f"{turn}-{patient_id}.zip"
            exporting_ms.append(_export(exports, patient_id, path))
            checking_ms.append(_check(path, key))
            files.append(path)
        if turn == 0:  # it warms the server's and the process's caches
            busy = Busy()
    of = f"of {EVENTS} events among {size:,}"
    # What RFC 6962 allows for a leaf of this log: a hash for each level of the tree.
    most_hashes = float((size - 1).bit_length())
    times = WATCHED * (TURNS - 1)
    return [
        at_most(f"P8 evidence export {of}, p50", exporting_ms[WATCHED:], MOST_MS),
        at_most(f"P8 offline check {of}, p50", checking_ms[WATCHED:], MOST_MS),
        at_most(f"P8 processor time of an export {of}, the database's apart", [busy.ours() / times], None),
        at_most(f"P8 processor time of a check {of}", [busy.childrens() / times], None),
        at_most(f"P8 hashes in the longest proof {of}", [max(map(_longest, files))], most_hashes, "hashes"),
        at_most(f"P8 heads of all patients of {size:,} events from nothing", [heads_ms], None),
    ]


class Busy:
    """Milliseconds of processor time since this was made: on a machine that others use too, they tell more than a
    clock does."""

    def __init__(self) -> None:
        self._ours, self._childrens = _used(resource.RUSAGE_SELF), _used(resource.RUSAGE_CHILDREN)

    def ours(self) -> float:
        return _used(resource.RUSAGE_SELF) - self._ours

    def childrens(self) -> float:
        return _used(resource.RUSAGE_CHILDREN) - self._childrens


def _used(who: int) -> float:
    used = resource.getrusage(who)
    return (used.ru_utime + used.ru_stime) * 1000


def _filled(database: Database, size: int) -> list[UUID]:
    """Persons of exactly 200 events, spread evenly over the log."""
    with database.connect("projector") as projector:
        generations.ensure(projector, STORED)
    pipeline = Pipeline(database.keys)
    persons = [reports(person, EVENTS * 2) for person in range(WATCHED)]
    some = (EVENTS - 40) // STEPS
    for step in range(STEPS):
        _tell(database, pipeline, [told[step * some : (step + 1) * some] for told in persons])
        _others(database, size * (step + 1) // (STEPS + 1))
    with closing(Writer(database.log(), database.keys)) as writer:
        for told in persons:
            _complete(database, writer, pipeline, told[STEPS * some :])
    _others(database, size)
    with database.connect("owner") as owner:
        owner.execute("analyze log.events")
    return [patient_id for patient_id, events in patients(database) if events == EVENTS]


def _tell(database: Database, pipeline: Pipeline, persons: list[list[RawMessage]]) -> None:
    with closing(Writer(database.log(), database.keys)) as writer:
        writer.write([pipeline.work(message) for told in persons for message in told])


def _others(database: Database, last: int) -> None:
    with database.connect("owner") as owner:
        row = owner.execute(_HEAD).fetchone()
        owner.execute(_OTHERS, {"first": (row[0] if row else 0) + 1, "last": last})


def _complete(database: Database, writer: Writer, pipeline: Pipeline, told: list[RawMessage]) -> None:
    """One message after the other until the person has as many events as are wanted."""
    with database.connect("auditor") as auditor:
        for message in told:
            outcome = writer.submit(pipeline.work(message))
            row = auditor.execute(_SEQ, [outcome.last_position]).fetchone()
            if row is not None and row[0] >= EVENTS:
                return
    raise ValueError("the person's messages did not suffice")


def _sealed(database: Database, folder: Path, private: Ed25519PrivateKey, exporting: Ed25519PrivateKey) -> float:
    """Signs the log; gives the milliseconds that the heads took."""
    with database.connect("sealer") as sealer:
        signed = LogSigner(LogName.EVENTS, ORIGIN, private, Outside(folder, LogName.EVENTS)).sign(sealer)
        if signed is None:
            raise ValueError("nothing was signed")
        began = time.perf_counter()
        HeadsKeeper(exporting.public_key().public_bytes_raw()).make(sealer, Signer(ORIGIN, private), signed.checkpoint)
        return (time.perf_counter() - began) * 1000


def _export(exports: Exports, patient_id: UUID, path: Path) -> float:
    began = time.perf_counter()
    made = exports.export(patient_id, AUDITOR)
    taken = (time.perf_counter() - began) * 1000
    path.write_bytes(made.content)
    return taken


def _check(path: Path, key: str) -> float:
    command = [sys.executable, verify.__file__, str(path), "--key", key]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def _longest(path: Path) -> float:
    return float(max(_hashes(path)))


def _hashes(path: Path) -> Iterator[int]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("proofs/"):
                yield len(verify.parse_proof(archive.read(name), name).hashes)

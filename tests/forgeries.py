"""Exports altered by whoever makes exports: each signs a manifest over what was altered. What the verifier must say.

The maker of exports holds the exports' key, and not the log's.
"""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeAlias

from infra.evidence.canonical import canonical
from infra.evidence.checkpoints import sign_checkpoint
from infra.evidence.envelopes import envelope
from infra.evidence.export import sign_manifest
from infra.evidence.heads import heads_of, indexed, sign_heads
from tests.ledger import EXPORTS, ledger, person, signer

Files: TypeAlias = dict[str, bytes]

MARIA, JOHN = person("maria"), person("john")
HISTORY = ledger(
    [("maria", "plan"), ("john", "plan"), ("maria", "pathway"), ("maria", "plan"), ("john", "plan"), ("maria", "plan")]
)
OLDER = 3


def maria() -> Files:
    return HISTORY.export(MARIA, older=OLDER)


def resigned(files: Files, /, **changed: Any) -> Files:
    """The manifest made anew over altered files by whoever holds the exports' key."""
    listed = {name: sha256(content).hexdigest() for name, content in files.items() if "manifest" not in name}
    manifest = canonical({**json.loads(files["manifest.json"]), "files": listed, **changed})
    return {**files, "manifest.json": manifest, "manifest.note": sign_manifest(EXPORTS, manifest)}


def left_out(files: Files, *numbers: int) -> Files:
    """These events and all their files are not there, and nothing that the exporter signs says that they were."""
    events = [each for each in json.loads(files["events.json"]) if each["position"] - 1 not in numbers]
    folders = [
        f"{folder}/{number}." for number in numbers for folder in ("leaves", "proofs", "ciphertexts", "payloads")
    ]
    kept = {name: each for name, each in files.items() if not name.startswith(tuple(folders))}
    told = [{"patient_id": str(MARIA), "events": len(events)}]
    return resigned({**kept, "events.json": canonical(events)}, events=len(events), patients=told)


def without_one_in_the_middle() -> Files:
    return left_out(maria(), 2)


def without_the_last() -> Files:
    return left_out(maria(), 5)


def without_the_last_two() -> Files:
    return left_out(maria(), 3, 5)


def without_a_stream() -> Files:
    """Maria's pathway has one event; her plan's are numbered as if it had never been."""
    files = left_out(maria(), 2)
    events = json.loads(files["events.json"])
    for seq, event in enumerate(events, start=1):
        event["patient_seq"] = seq
    return resigned({**files, "events.json": canonical(events)})


def without_the_last_and_an_entry_to_match() -> Files:
    """The exporter makes the entry anew; the signed heads do not have it."""
    files = left_out(maria(), 5)
    rows = [(MARIA.bytes, each.leaf_hash) for each in HISTORY.events[:5] if each.patient_id == MARIA]
    [head] = heads_of(rows)
    return resigned({**files, f"patients/{MARIA}.entry": head.entry()})


def in_another_order() -> Files:
    files = maria()
    events = json.loads(files["events.json"])
    return resigned({**files, "events.json": canonical([events[1], events[0], *events[2:]])})


def exchanged_places() -> Files:
    """Two events change their places in the patient's record, leaves and all."""
    files = maria()
    events = json.loads(files["events.json"])
    first, second = events[0]["patient_seq"], events[1]["patient_seq"]
    events[0]["patient_seq"], events[1]["patient_seq"] = second, first
    return resigned({**files, "events.json": canonical(events)})


def moved_to_another_place() -> Files:
    """The event at position 3 is told to be at 2, where the log has John's."""
    files = maria()
    events = json.loads(files["events.json"])
    events[1]["position"] = 2
    moved = {name.replace("/2.", "/1."): each for name, each in files.items()}
    moved_leaf = envelope(HISTORY.events[2]._replace(position=2))
    return resigned({**moved, "events.json": canonical(events), "leaves/1.leaf": moved_leaf})


def of_another_patient() -> Files:
    """John's event passed off as Maria's: sealed bytes and leaf are made to agree."""
    files = maria()
    events = json.loads(files["events.json"])
    events[1]["type"] = "pathway.ruled-out.v1"
    forged = envelope(HISTORY.events[2]._replace(type="pathway.ruled-out.v1"))
    return resigned({**files, "events.json": canonical(events), "leaves/2.leaf": forged})


def told(**changed: Any) -> Callable[[], Files]:
    """One field of the first event in events.json is another."""

    def made() -> Files:
        files = maria()
        events = json.loads(files["events.json"])
        events[0].update(changed)
        return resigned({**files, "events.json": canonical(events)})

    return made


def other_sealed_bytes() -> Files:
    files = maria()
    return resigned({**files, "ciphertexts/2.bin": files["ciphertexts/2.bin"][:-1] + b"!"})


def other_proof(change: Callable[[bytes], bytes]) -> Callable[[], Files]:
    def made() -> Files:
        files = maria()
        return resigned({**files, "proofs/2.tlog-proof": change(files["proofs/2.tlog-proof"])})

    return made


def a_hash_less(proof: bytes) -> bytes:
    lines = proof.split(b"\n")
    return b"\n".join(lines[:2] + lines[3:])


def a_hash_more(proof: bytes) -> bytes:
    lines = proof.split(b"\n")
    return b"\n".join([*lines[:3], lines[2], *lines[3:]])


def with_crs(proof: bytes) -> bytes:
    return proof.replace(b"\n", b"\r\n")


def under_another_checkpoint(proof: bytes) -> bytes:
    return proof.split(b"\n\n")[0] + b"\n\n" + HISTORY.at(5).checkpoint()


def with_older_heads() -> Files:
    """Heads that the log did sign, before Maria's last event; everything else of the newer checkpoint."""
    old = HISTORY.at(5)
    files = left_out(maria(), 5)
    entry = old.export(MARIA)
    heads = {name: entry[name] for name in ("heads", f"patients/{MARIA}.entry", f"patients/{MARIA}.tlog-proof")}
    return resigned({**files, **heads})


def with_heads_of_their_own() -> Files:
    """Heads that the exporter made, signed with the only key that the exporter has."""
    short = HISTORY._replace(events=HISTORY.events[:5], key=signer(seed="exports"))
    index, root = indexed(short.entries())
    return resigned({**left_out(maria(), 5), "heads": sign_heads(short.key, index.size, root, 6, EXPORTS.verifier)})


def with_other_words_of_another_length() -> Files:
    files = maria()
    return resigned({**files, "payloads/2.jsonl": files["payloads/2.jsonl"] + b" "})


def with_words_that_are_no_json() -> Files:
    files = maria()
    return resigned({**files, "payloads/2.jsonl": files["payloads/2.jsonl"].replace(b"{", b"[")})


def with_words_not_told_of() -> Files:
    files = maria()
    events = json.loads(files["events.json"])
    events[1]["text"] = "withheld"
    return resigned({**files, "events.json": canonical(events)})


def filtered() -> Files:
    return resigned(maria(), filters=["recorded after 2026-01-01"])


def with_a_stranger() -> Files:
    """Events of somebody whom the manifest does not name."""
    return resigned(HISTORY.export(MARIA, JOHN), patients=[{"patient_id": str(MARIA), "events": 4}])


def of_nobody() -> Files:
    """Nothing is left out of nothing."""
    kept = {name: each for name, each in maria().items() if "/" not in name}
    return resigned({**kept, "events.json": b"[]"}, patients=[], events=0)


def with_an_uneven_manifest() -> Files:
    """JSON that is not canonical: two readers could read two things from it."""
    files = maria()
    manifest = files["manifest.json"].replace(b'"events":4', b'"events":4,"events":4', 1)
    return {**files, "manifest.json": manifest, "manifest.note": sign_manifest(EXPORTS, manifest)}


def with_a_manifest_by_another_key() -> Files:
    files = maria()
    other = signer(EXPORTS.name, "somebody else")
    return {**files, "manifest.note": sign_manifest(other, files["manifest.json"])}


def with_another_consistency() -> Files:
    files = maria()
    lines = files["consistency"].splitlines(keepends=True)
    return resigned({**files, "consistency": b"".join(reversed(lines))})


def with_an_older_checkpoint_of_a_fork() -> Files:
    """Signed by the log's own key, and not what this log had when it was that size."""
    forged = sign_checkpoint(HISTORY.key, OLDER, sha256(b"another history").digest())
    return resigned({**maria(), "checkpoint.old": forged})


EXPECTED: dict[Callable[[], Files], tuple[str, str]] = {
    without_one_in_the_middle: ("events.json", "left out: 2"),
    without_the_last: (f"patients/{MARIA}.entry", "counts 4 events; here are 3"),
    without_the_last_two: (f"patients/{MARIA}.entry", "counts 4 events; here are 2"),
    without_a_stream: ("leaves/3.leaf", "is not made of"),
    without_the_last_and_an_entry_to_match: (f"patients/{MARIA}.tlog-proof", "does not lead to the signed root"),
    in_another_order: ("events.json", "not in the order of the log"),
    exchanged_places: ("leaves/0.leaf", "is not made of"),
    moved_to_another_place: ("proofs/1.tlog-proof", "another place in the log"),
    of_another_patient: ("proofs/2.tlog-proof", "does not lead to the signed root"),
    told(recorded_at="2026-03-02T09:15:30.000000Z"): ("leaves/0.leaf", "is not made of"),
    told(occurred_at="1961-04-30T23:00:00.000000Z"): ("leaves/0.leaf", "is not made of"),
    told(occurred_precision="I"): ("leaves/0.leaf", "is not made of"),
    told(type="pathway.opened.v1"): ("leaves/0.leaf", "is not made of"),
    told(version=2): ("leaves/0.leaf", "is not made of"),
    told(stream_id=str(JOHN)): ("leaves/0.leaf", "is not made of"),
    told(key_id=str(JOHN)): ("leaves/0.leaf", "is not made of"),
    told(patient_id=str(JOHN)): ("leaves/0.leaf", "is not made of"),
    told(patient_seq=9): ("events.json", "left out: 1"),
    told(position=2**53 - 1): ("events.json", "not in the order of the log"),
    told(position=0): ("events.json", "numbered from 1"),
    told(position=True): ("events.json", "lacks position"),
    told(recorded_at="yesterday"): ("events.json", "recorded_at is not a moment"),
    told(stream_id="the first"): ("events.json", "stream_id is not a UUID"),
    other_sealed_bytes: ("leaves/2.leaf", "is not made of"),
    other_proof(a_hash_less): ("proofs/2.tlog-proof", "does not lead to the signed root"),
    other_proof(a_hash_more): ("proofs/2.tlog-proof", "does not lead to the signed root"),
    other_proof(with_crs): ("proofs/2.tlog-proof", "control characters"),
    other_proof(under_another_checkpoint): ("proofs/2.tlog-proof", "another signed note"),
    with_older_heads: ("heads", "one of them is older"),
    with_heads_of_their_own: ("heads", "is not signed by the key"),
    with_other_words_of_another_length: ("payloads/2.jsonl", "has not the length"),
    with_words_that_are_no_json: ("payloads/2.jsonl", "is not two lines of JSON"),
    with_words_not_told_of: ("payloads/2.jsonl", "is here, but events.json does not list it"),
    filtered: ("manifest.json", "filters"),
    with_a_stranger: ("manifest.json", f"does not name the patient {JOHN}"),
    of_nobody: ("manifest.json", "who was asked for is not among"),
    with_an_uneven_manifest: ("manifest.json", "is not canonical JSON"),
    with_a_manifest_by_another_key: ("manifest.note", "is not signed by the key"),
    with_another_consistency: ("consistency", "does not lead from the older checkpoint"),
    with_an_older_checkpoint_of_a_fork: ("consistency", "does not lead from the older checkpoint"),
}

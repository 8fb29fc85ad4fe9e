"""What becomes of each file of a folder: the table in docs/examples.md, without any patient data.

`python -m consumers.outcomes [FOLDER]` prints it as Markdown.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from consumers import mns, sniff
from consumers.fhir import documents
from consumers.translation import Entry, NotOurs, Refused, Sender, Translated
from domain.facts import Fact
from domain.patient import IdentifierLinked
from domain.times import at

# A fixed moment, so that the same files give the same table.
_READ_AT = at(datetime(2026, 3, 1, tzinfo=UTC))
_READ_AS = {
    sniff.FHIR: "FHIR",
    sniff.CLOUDEVENTS: "CloudEvent",
    sniff.CLOUDEVENT_LINES: "CloudEvents, one a line",
    sniff.HL7V2: "HL7 v2",
    sniff.CSV: "CSV",
    sniff.UNKNOWN: "unknown",
}


class Row(NamedTuple):
    """`recorded` counts facts by stored name, `not_ours` entries by type, `refused` entries by code and field."""

    file: str
    read_as: str
    recorded: Counter[str]
    not_ours: Counter[str]
    refused: Counter[tuple[str, str]]


def outcome_table(folder: Path) -> list[Row]:
    """One row for each file below the folder, by path; a list of the files themselves (MANIFEST.csv) is none."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "MANIFEST.csv")
    return [_row(path, path.relative_to(folder).as_posix()) for path in files]


def translated(raw: bytes, name: str) -> tuple[str, list[Entry]]:
    """The content type of a file and its entries."""
    try:
        content_type, document = sniff.sniff(raw, name)
    except sniff.InvalidJson as error:
        return sniff.FHIR, [sniff.not_json(error)]
    sender = Sender(source="/examples", event_id=name, time=_READ_AT)
    if content_type == sniff.FHIR:
        return content_type, documents.translate(document, sender)
    if content_type == sniff.CLOUDEVENTS and mns.is_signal(document):
        return content_type, mns.translate(document, sender)
    return content_type, [sniff.unsupported(content_type)]


def markdown(rows: Iterable[Row]) -> str:
    lines = [
        "# What becomes of the public examples",
        "",
        "Made by `make docs` from the files in `EXAMPLES_DIR`: public examples of NHS and other interfaces. Facts are",
        "counted by their stored names; the codes of refusals are explained in [rejections.md](rejections.md).",
        "",
        "| File | Read as | Recorded | Not ours | Refused |",
        "|---|---|---|---|---|",
    ]
    lines.extend(_line(row) for row in rows)
    return "\n".join(lines) + "\n"


def _row(path: Path, name: str) -> Row:
    content_type, entries = translated(path.read_bytes(), name)
    return Row(
        file=name,
        read_as=_READ_AS[content_type],
        recorded=Counter(stored for entry in entries if isinstance(entry, Translated) for stored in _recorded(entry)),
        not_ours=Counter(entry.kind for entry in entries if isinstance(entry, NotOurs)),
        refused=Counter((entry.code, entry.field) for entry in entries if isinstance(entry, Refused)),
    )


def _recorded(entry: Translated) -> list[str]:
    """Where nothing but identifiers is told, those are linked to the patient."""
    acts = [instruction.act for instruction in entry.instructions]
    names = [act.stored if isinstance(act, Fact) else type(act).__name__ for act in acts]
    return names or [IdentifierLinked.stored]


def _line(row: Row) -> str:
    recorded = ", ".join(_times(name, count) for name, count in sorted(row.recorded.items()))
    not_ours = ", ".join(_times(kind, count) for kind, count in sorted(row.not_ours.items()))
    refused = ", ".join(_times(_refusal(*each), count) for each, count in sorted(row.refused.items()))
    return f"| {row.file} | {row.read_as} | {recorded or '—'} | {not_ours or '—'} | {refused or '—'} |"


def _refusal(code: str, field: str) -> str:
    return f"`{code}` at `{field}`" if field else f"`{code}`"


def _times(words: str, count: int) -> str:
    return words if count == 1 else f"{words} × {count}"


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0] if arguments else os.environ.get("EXAMPLES_DIR", "../shared/examples"))
    if not folder.is_dir():
        print("the folder of examples does not exist; set EXAMPLES_DIR", file=sys.stderr)
        return 1
    print(markdown(outcome_table(folder)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

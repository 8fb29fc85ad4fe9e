"""The same for paper: a PDF that reading software can read aloud (PDF/UA), equal for equal content."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import orjson
import typst

from projections.reading.evidence_report import Line


def print_out(about: Mapping[str, str], lines: Sequence[Line]) -> bytes:
    """What is told goes in as data, never as markup. Raises typst.TypstError."""
    told = orjson.dumps({"about": dict(about), "lines": [each._asdict() for each in lines]}).decode()
    made: bytes = typst.compile(
        _template(), format="pdf", sys_inputs={"told": told}, pdf_standards=["ua-1"], ignore_system_fonts=True
    )
    return made


@cache
def _template() -> bytes:
    return Path(__file__).with_name("evidence_print.typ").read_bytes()

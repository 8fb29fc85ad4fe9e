"""The page of an evidence export: one file that needs nothing else."""

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from projections.reading.evidence_report import Line


def page(about: Mapping[str, str], lines: Sequence[Line]) -> bytes:
    shown = {name: escape(each) for name, each in about.items()}
    return _template().substitute(shown, rows="\n".join(map(_row, lines))).encode()


def _row(line: Line) -> str:
    gone = ' class="gone"' if line.is_gone else ""
    reason = f"<br>Reason: {escape(line.reason)}" if line.reason else ""
    what = f"<span{gone}>{escape(line.what)}</span>{reason}<br><small>{escape(line.kind)}</small>"
    told = map(escape, (line.people, line.source, line.recorded, line.stands))
    cells = [escape(line.happened), what, *told]
    return f'<tr><th scope="row">{escape(line.number)}</th>{"".join(f"<td>{each}</td>" for each in cells)}</tr>'


@cache
def _template() -> Template:
    return Template(Path(__file__).with_name("evidence_page.html").read_text(encoding="utf-8"))

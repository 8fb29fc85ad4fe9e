"""What a run found: figures with their baselines and bars, their file and their table."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from rich.table import Table

REPETITIONS = 3
Measured = Mapping[str, Sequence[float]]


class Figure(NamedTuple):
    """`ratio` is ours against the baseline, larger being better; None where the bar is on the value itself.

    `bar` is the ratio to reach or, for times and latencies (`unit` ms), the value not to exceed; None: told only.
    """

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    bar: float | None
    met: bool | None


def against(name: str, measured: Measured, ours: str, baseline: str, bar: float | None, unit: str) -> Figure:
    """Rates of contestants that took turns; the ratio is the median of the turns' ratios, so drift does not count."""
    ratios = [a / b for a, b in zip(measured[ours], measured[baseline], strict=True)]
    ratio = statistics.median(ratios)
    value, base = statistics.median(measured[ours]), statistics.median(measured[baseline])
    return Figure(name, value, unit, base, ratio, bar, None if bar is None else ratio >= bar)


def at_most(name: str, values: Sequence[float], bar: float | None, unit: str = "ms") -> Figure:
    """The median of each turn's value must not exceed the bar."""
    value = statistics.median(values)
    return Figure(name, value, unit, None, None, bar, None if bar is None else value <= bar)


def times_at_most(name: str, ours: Sequence[float], floor: Sequence[float], most: float | None) -> Figure:
    """Times in ms that may be at most `most` times the floor's; None: told only."""
    ratio = statistics.median([a / b for a, b in zip(ours, floor, strict=True)])
    met = None if most is None else ratio <= most
    return Figure(name, statistics.median(ours), "ms", statistics.median(floor), ratio, most, met)


def percentile(values: Iterable[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def in_turns(contestants: Mapping[str, Callable[[], float]], repetitions: int = REPETITIONS) -> dict[str, list[float]]:
    """A B A B …: each contestant once in every turn, in the order given."""
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repetitions):
        for name, once in contestants.items():
            measured[name].append(once())
    return measured


def write(figures: Sequence[Figure], path: Path) -> dict[str, dict[str, Any]]:
    """As JSON, by name."""
    told = {each.name: {name: _rounded(value) for name, value in list(each._asdict().items())[1:]} for each in figures}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    return told


def table(figures: Sequence[Figure]) -> Table:
    shown = Table("figure", title="Benchmarks", title_justify="left")
    for column in ("value", "baseline", "ratio", "bar"):
        shown.add_column(column, justify="right")
    shown.add_column("met")
    for each in figures:
        met = "" if each.met is None else "[green]yes" if each.met else "[red]no"
        value = f"{_text(each.value)} {each.unit}"
        shown.add_row(each.name, value, _text(each.baseline), _text(each.ratio), _text(each.bar), met)
    return shown


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

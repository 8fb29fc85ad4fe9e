"""What an event costs to write as the log grows to millions: ingest of the same messages beside ever more of others."""

import time
from collections.abc import Sequence

from consumers.messages import RawMessage
from tests.benchmarks.ballast import grow
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.lab import Lab
from tests.benchmarks.p1_ingest import Product
from tests.benchmarks.traffic import BATCH, batched, in_rounds, reports

SIZES = (100_000, 1_000_000, 5_000_000)
PERSONS, BEFORE, AFTER = 600, 20, 12
MOST_GROWTH = 1.2


def run(lab: Lab) -> list[Figure]:
    """Microseconds of an event, the median of the batches; each size in a log of its own, the logs in turns."""
    told = [reports(person, BEFORE + AFTER) for person in range(PERSONS)]
    logs = {size: _log(lab, size, told) for size in SIZES}
    lab.say("growth: taking in")
    after = in_rounds(each[BEFORE:] for each in told)
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for batch in batched(enumerate(after, BEFORE * PERSONS), BATCH):
        for size, product in logs.items():
            taken[size].append(_of_batch(product, batch))
    for product in logs.values():
        product.writer.close()
    # The first batch reads what the ballast has made the writer forget.
    medians = {size: percentile(each[1:], 50) for size, each in taken.items()}
    return [_figure(size, value, medians[SIZES[0]]) for size, value in medians.items()]


def _figure(size: int, value: float, smallest: float) -> Figure:
    growth, name = value / smallest, f"P1 ingest in a log of {size:,}"
    return Figure(name, value, "us/event", smallest, growth, MOST_GROWTH, growth <= MOST_GROWTH)


def _log(lab: Lab, size: int, told: Sequence[Sequence[RawMessage]]) -> Product:
    lab.say(f"growth: a log of {size:,} events")
    product = Product(lab.database(f"growth_{size}"), lab.keys())
    product.owns(None)
    for batch in batched(enumerate(in_rounds(each[:BEFORE] for each in told)), BATCH):
        product.ingest(batch)
    grow(product.database, size)
    return product


def _of_batch(product: Product, batch: list[tuple[int, RawMessage]]) -> float:
    position = product.position()
    began = time.perf_counter()
    product.ingest(batch)
    seconds = time.perf_counter() - began
    return seconds / max(1, product.position() - position) * 1_000_000

"""What an event costs to write as the log grows to millions: ingest of the same messages beside ever more of others."""

import time

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
    """Microseconds of an event, the median of the batches; each size in a log of its own."""
    taken = []
    for size in SIZES:
        lab.say(f"growth: a log of {size:,} events")
        taken.append(_microseconds(lab, size))
    return [_figure(size, value, taken[0]) for size, value in zip(SIZES, taken, strict=True)]


def _figure(size: int, value: float, smallest: float) -> Figure:
    growth, name = value / smallest, f"P1 ingest in a log of {size:,}"
    return Figure(name, value, "us/event", smallest, growth, MOST_GROWTH, growth <= MOST_GROWTH)


def _microseconds(lab: Lab, size: int) -> float:
    told = [reports(person, BEFORE + AFTER) for person in range(PERSONS)]
    product = Product(lab.database(f"growth_{size}"), lab.keys())
    product.owns(None)
    before = in_rounds(each[:BEFORE] for each in told)
    for batch in batched(enumerate(before), BATCH):
        product.ingest(batch)
    grow(product.database, size)
    after = in_rounds(each[BEFORE:] for each in told)
    each = [_of_batch(product, batch) for batch in batched(enumerate(after, len(before)), BATCH)]
    product.writer.close()
    return percentile(each[1:], 50)  # the first reads what the ballast has made the writer forget


def _of_batch(product: Product, batch: list[tuple[int, RawMessage]]) -> float:
    position = product.position()
    began = time.perf_counter()
    product.ingest(batch)
    seconds = time.perf_counter() - began
    return seconds / max(1, product.position() - position) * 1_000_000

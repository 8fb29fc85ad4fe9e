"""What operators see of ingest, for Prometheus. Labels come from fixed lists: a sender cannot make up new ones."""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumers.messages import JSON, STRUCTURED
from consumers.pipeline import FHIR, HL7V2
from infra.writing.work import Outcome

_CONTENT_TYPES = frozenset((JSON, STRUCTURED, *FHIR, *HL7V2))


class IngestMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = Counter(
            "ingest_messages", "Messages by what became of them", ["outcome", "content_type"], registry=registry
        )
        sizes = (1, 5, 20, 50, 100, 200, 500)
        self._sizes = Histogram("ingest_batch_messages", "Messages written together", buckets=sizes, registry=registry)
        self._seconds = Histogram("ingest_batch_seconds", "From works to durable events", registry=registry)
        self._lag = Gauge(
            "ingest_lag_messages", "Messages behind the end of a partition", ["partition"], registry=registry
        )
        self.stopped = Gauge(
            "ingest_stopped_partitions", "Partitions whose offset the broker no longer has", registry=registry
        )
        self.fenced = Counter("ingest_fenced", "Times that another consumer had moved our offsets", registry=registry)

    def wrote(self, content_types: Sequence[str], outcomes: Sequence[Outcome], seconds: float) -> None:
        self._sizes.observe(len(outcomes))
        self._seconds.observe(seconds)
        told = ("known" if outcome.known else outcome.outcome for outcome in outcomes)
        for (outcome, content_type), count in Tally(zip(told, map(_label, content_types), strict=True)).items():
            self._messages.labels(outcome, content_type).inc(count)

    def watch(self, consumer: Any, polled: Mapping[Any, Any]) -> None:
        """`consumer` is kafka-python's, which learns the end of a partition with each fetch."""
        for each in polled:
            if each in consumer.assignment() and (end := consumer.highwater(each)) is not None:
                self._lag.labels(str(each.partition)).set(max(0, end - consumer.position(each)))


def _label(content_type: str) -> str:
    return content_type if content_type in _CONTENT_TYPES else "other"

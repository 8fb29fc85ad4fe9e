"""Operators find every metric of ingest and of the write path in docs/ingest.md."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from consumers.ingest_metrics import IngestMetrics
from infra.writing.metrics import WriteMetrics

PAGE = Path(__file__).parents[2] / "docs" / "ingest.md"


def test_every_metric_is_told_and_every_told_metric_exists() -> None:
    registry = CollectorRegistry()
    IngestMetrics(registry)
    WriteMetrics(registry)
    exist = {metric.name + ("_total" if metric.type == "counter" else "") for metric in registry.collect()}
    table = PAGE.read_text(encoding="utf-8").split("| Metric | Meaning |")[1]
    assert set(re.findall(r"`((?:ingest|append)_[a-z_]+)`", table)) == exist

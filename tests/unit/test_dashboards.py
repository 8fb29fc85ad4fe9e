"""Dashboards and alerts name metrics that exist, and the runbook's rows."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from api.edge import Measurements
from consumers.ingest_metrics import IngestMetrics
from infra.custody.running import Measurements as CustodyMeasurements
from infra.evidence.sealing import Measurements as SealingMeasurements
from infra.writing.metrics import WriteMetrics
from projections.live.running import EngineMetrics, SignalMetrics

FOLDER = Path(__file__).parents[2] / "infra" / "dashboards"
RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
_FUNCTIONS = {"sum", "rate", "max", "count", "increase", "histogram_quantile", "by", "time", "min", "absent"}
_LABELS = {"projection", "outcome", "partition", "le", "status", "route", "log"}


def expressions() -> list[str]:
    dashboard = json.loads((FOLDER / "cancer_plan.json").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    alerts = re.findall(r"^\s+expr: (.+)$", (FOLDER / "alerts.yml").read_text(), re.MULTILINE)
    return [*panels, *alerts]


def known() -> set[str]:
    measurements = Measurements()
    registries = [measurements.registry]
    for made in (IngestMetrics, WriteMetrics, EngineMetrics, SignalMetrics, SealingMeasurements, CustodyMeasurements):
        registries.append(CollectorRegistry())
        made(registries[-1])
    return {
        name
        for registry in registries
        for metric in registry.collect()
        for name in (metric.name, *(f"{metric.name}{suffix}" for suffix in ("_total", "_bucket", "_sum", "_count")))
    }


def named_in(told: Iterable[str]) -> set[str]:
    """The metrics that expressions name."""
    words = {word for each in told for word in re.findall(r"[a-z_]{3,}", re.sub(r'"[^"]*"', "", each))}
    return words - _FUNCTIONS - _LABELS


def unknown(told: Iterable[str]) -> set[str]:
    return named_in(told) - known()


def test_every_metric_that_is_drawn_or_alerted_on_exists() -> None:
    assert unknown(expressions()) == set()


def test_a_metric_that_does_not_exist_is_noticed() -> None:
    assert unknown(["sum(rate(projections_evnets_total[1m]))"]) == {"projections_evnets_total"}


def test_an_alert_on_age_takes_the_newest_of_all_processes() -> None:
    """One that led before another took over goes on telling when it last did."""
    alerts = re.findall(r"^\s+expr: (.+)$", (FOLDER / "alerts.yml").read_text(), re.MULTILINE)
    aged = [re.findall(r"time\(\) - (.+?) >", each) for each in alerts if "time() -" in each]
    assert len(aged) == 2
    assert [each for found in aged for each in found if "max" not in each] == []


@pytest.mark.parametrize(
    "row", re.findall(r"runbook: docs/runbook.md, (.+)$", (FOLDER / "alerts.yml").read_text(), re.MULTILINE)
)
def test_every_alert_names_a_row_of_the_runbook(row: str) -> None:
    assert f"| {row}" in RUNBOOK

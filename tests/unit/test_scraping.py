"""Where Prometheus finds the processes under the supervisor."""

import json
from pathlib import Path

from infra.children import is_free
from infra.scraping import leave_targets, ports_for


def test_each_process_has_a_port_of_its_own(tmp_path: Path) -> None:
    ports = ports_for({"api": 8080, **{f"process-{number}": None for number in range(20)}})
    assert ports["api"] == 8080
    assert len(set(ports.values())) == 21
    assert all(is_free(port) for name, port in ports.items() if name != "api")
    for _ in range(2):
        leave_targets(tmp_path, {"api": 8080, "projections": 40123})
    assert json.loads((tmp_path / "metrics.json").read_text()) == [
        {"targets": ["127.0.0.1:8080"], "labels": {"process": "api"}},
        {"targets": ["127.0.0.1:40123"], "labels": {"process": "projections"}},
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.json"]

"""Where Prometheus finds the processes of a development system: `DATA_DIR/metrics.json`, as its file_sd reads it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson

from infra.children import free_port

FILE = "metrics.json"


def ports_for(processes: Mapping[str, int | None]) -> dict[str, int]:
    """A port for the metrics of each process: the one given, or any that is free, no two alike."""
    taken = {port for port in processes.values() if port is not None}
    ports: dict[str, int] = {}
    for name, port in processes.items():
        ports[name] = port or next(each for each in _free_ports() if each not in taken)
        taken.add(ports[name])
    return ports


def _free_ports() -> Iterator[int]:
    while True:
        yield free_port()


def leave_targets(data_dir: Path, ports: Mapping[str, int]) -> None:
    """One target for each process, all on loopback. Another process's file is replaced at once."""
    told = [{"targets": [f"127.0.0.1:{port}"], "labels": {"process": name}} for name, port in ports.items()]
    draft = data_dir / f".{FILE}.new"
    draft.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    draft.replace(data_dir / FILE)

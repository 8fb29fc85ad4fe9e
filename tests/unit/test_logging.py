"""Logs: what is not on the list does not get out, however it came."""

import ast
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from infra.logging import ALLOWED, AllowList, configure

ROOT = Path(__file__).parents[2]
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
Lines = Callable[[], list[dict[str, Any]]]


class Logs:
    def __init__(self) -> None:
        self.output = io.StringIO()
        self.allow_list: AllowList = configure("test", "INFO", self.output)

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.output.getvalue().splitlines()]


@pytest.fixture
def logs() -> Iterator[Logs]:
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    before = root.handlers, root.level
    yield Logs()
    root.handlers, root.level = before
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_a_field_that_is_not_on_the_list_is_dropped_and_counted(logs: Logs) -> None:
    structlog.get_logger("somewhere").info("recorded", position=7, family_name="Okafor", nhs_number="9990000018")
    (line,) = logs.lines()
    assert (line["event"], line["position"], line["dropped_fields"]) == ("recorded", 7, 2)
    assert "Okafor" not in logs.output.getvalue()
    assert logs.allow_list.dropped == {"family_name": 1, "nhs_number": 1}


@pytest.mark.parametrize("text", ["of 9990000018 here", "999 000 0018", "999-000-0018"])
def test_ten_digits_do_not_get_out_even_in_an_allowed_field(logs: Logs, text: str) -> None:
    structlog.get_logger().warning(f"refused {text}", reason=text)
    assert "0018" not in logs.output.getvalue()
    assert logs.lines()[0]["reason"].count("[number]") == 1


def test_an_exception_is_named_by_class_and_place_only(logs: Logs) -> None:
    try:
        raise ValueError("Okafor, born 1960-05-01")  # noqa: TRY301 - an exception with a trace is what is tested
    except ValueError:
        structlog.get_logger().exception("a step failed")
    (line,) = logs.lines()
    assert line["error"] == "ValueError"
    assert line["error_at"].rsplit(":")[0].endswith("test_logging")
    assert "Okafor" not in logs.output.getvalue()


def test_what_ends_a_process_is_logged_without_its_message(logs: Logs) -> None:
    error = ValueError("Okafor, born 1960-05-01")
    sys.excepthook(ValueError, error, error.__traceback__)
    assert logs.lines()[0]["error"] == "ValueError"
    assert "Okafor" not in logs.output.getvalue()


def test_loggers_of_libraries_lose_their_arguments(logs: Logs) -> None:
    logging.getLogger("kafka.consumer").warning("could not decode %s", "Okafor")
    logging.getLogger("psycopg.pool").warning("connection %r", "postgresql://secret")
    logging.getLogger("asyncio").warning("%s of %5d took %.3f s (%r)", "secret", 5, 0.5, "secret")
    assert [line["event"] for line in logs.lines()] == ["could not decode …", "connection …", "… of … took … s (…)"]
    assert not {"Okafor", "secret"} & set(logs.output.getvalue().split())


def test_requests_of_uvicorn_are_not_logged_with_their_paths(logs: Logs) -> None:
    logging.getLogger("uvicorn.access").info('%s - "%s %s"', "127.0.0.1", "GET", "/v1/patients/x")
    assert logs.lines() == []


def _fields_of_log_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            owner = ast.unparse(node.func.value)
            if owner.startswith("structlog") or owner.rsplit(".", 1)[-1].strip("_") in ("log", "logger"):
                yield from (keyword.arg for keyword in node.keywords if keyword.arg)


def test_no_module_logs_a_field_that_would_be_dropped() -> None:
    unknown = {
        f"{path.relative_to(ROOT)}: {name}"
        for layer in ("domain", "infra", "projections", "consumers", "api")
        for path in sorted((ROOT / layer).glob("*.py"))
        for name in _fields_of_log_calls(ast.parse(path.read_text(encoding="utf-8")))
        if name not in ALLOWED | {"exc_info"}
    }
    assert unknown == set()

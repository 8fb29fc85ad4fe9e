"""Logs as JSON lines that cannot carry patient data: fields come from a list, and everything else is dropped.

The list holds what operating needs: places, counts, durations, codes and ids of our own. Exceptions are named by
class and place and never quoted, since their messages repeat values. Loggers of libraries pass through without
their arguments. Whatever is left loses digits that could be an NHS number.
"""

import logging
import re
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog

ALLOWED = frozenset(
    {
        # of every line
        *("event", "level", "time", "process", "logger", "dropped_fields", "error", "error_at", "error_trace"),
        # where: places in the log, in Kafka, on this machine
        *("position", "base", "positions", "last_position", "checkpoint", "expected", "gap"),
        *("topic", "partition", "partitions", "offset", "group", "cluster"),
        *("what", "wanted", "used", "path", "port", "pid", "signal", "child", "exit_code", "address"),
        # how many, how long
        *(
            "count",
            "messages",
            "events",
            "persons",
            "patients",
            "bytes",
            "attempt",
            "attempts",
            "tried",
            "signals",
            "tables",
        ),
        *("seconds", "milliseconds", "lag", "size", "limit", "queue"),
        # which kind: codes of our own, never free text
        *("outcome", "code", "reason", "kind", "type", "state", "projection", "version", "role", "setting"),
        *("method", "route", "status", "environment", "migration", "migrations", "sqlstate", "streams", "projections"),
        # random ids that mean nothing outside this system
        *("correlation_id", "rejected_id", "request_id"),
    }
)
TRACE_LENGTH = 12
_PLACEHOLDER = re.compile(r"%(\(\w+\))?[-#0 +]*\d*(\.\d+)?[diouxXeEfFgGcrsa]")
_TEN_DIGITS = re.compile(r"(?<!\d)\d{3}[ -]?\d{3}[ -]?\d{4}(?!\d)")
_QUIET = {
    "uvicorn.access": logging.ERROR,
    "uvicorn.error": logging.WARNING,
    "kafka": logging.WARNING,
    "psycopg": logging.WARNING,
    "psycopg.pool": logging.WARNING,
    "asyncio": logging.WARNING,
}


class AllowList:
    """A structlog processor. `dropped` counts by name what no line may carry, for a metric and for tests."""

    def __init__(self, allowed: frozenset[str] = ALLOWED) -> None:
        self.dropped: Counter[str] = Counter()
        self._allowed = allowed

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
        others = [name for name in line if name not in self._allowed]
        for name in others:
            self.dropped[name] += 1
            del line[name]
        if others:
            line["dropped_fields"] = len(others)
        return {name: _masked(value) for name, value in line.items()}


def configure(process: str, level: str = "INFO", stream: TextIO | None = None) -> AllowList:
    """Send every log of this process, structlog's and the standard library's, to `stream` (standard output)."""
    allow_list = AllowList()
    renderer = structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _named(process),
        _error_by_class,
        allow_list,
        renderer,
    ]
    output = stream or sys.stdout
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *shared],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=_Factory(output),
        cache_logger_on_first_use=False,
    )
    _take_standard_loggers(shared, output, level)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda told: _log_uncaught(told.exc_type, told.exc_value, told.exc_traceback)
    return allow_list


def _log_uncaught(kind: type[BaseException], _error: BaseException | None, trace: TracebackType | None) -> None:
    """What ends a process or a thread: the class and the places it came through, never the message."""
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        places = _places(trace)[-TRACE_LENGTH:]
        structlog.get_logger("python").critical("ended by an error", error=kind.__name__, error_trace=places)


def _take_standard_loggers(processors: list[Any], output: TextIO, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [_WithoutArguments(processors, output)]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "kafka", "psycopg", "psycopg.pool", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(_QUIET.get(name, logging.NOTSET))
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default")


class _Factory:
    """Makes structlog's loggers; the module's name, when one is given, is the only argument."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def __call__(self, *names: str) -> "_Printing":
        return _Printing(self._output, names[0] if names else None)


class _Printing(structlog.PrintLogger):
    def __init__(self, output: TextIO, name: str | None) -> None:
        super().__init__(output)
        self.name = name


class _WithoutArguments(logging.Handler):
    """Writes a record's template; its arguments may be anything, so each is left out."""

    def __init__(self, processors: list[Any], output: TextIO) -> None:
        super().__init__()
        self._processors = processors
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        # A warning's template is bare, and its words are an argument.
        event = "a warning of Python's" if record.name == "py.warnings" else _PLACEHOLDER.sub("…", str(record.msg))
        line: Any = {"event": event, "logger": record.name}
        if record.exc_info:
            line["exc_info"] = record.exc_info
        for process in self._processors:
            line = process(None, record.levelname.lower(), line)
        self._output.write(f"{line}\n")
        self._output.flush()


def _named(process: str) -> Any:
    def add(logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["process"] = process
        if getattr(logger, "name", None):
            line.setdefault("logger", logger.name)
        return line

    return add


def _error_by_class(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The class of an exception and the innermost place of it: its message may repeat what somebody sent."""
    told = line.pop("exc_info", None)
    error = sys.exc_info()[1] if told is True else told[1] if isinstance(told, tuple) else told
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__
        line["error_at"] = _innermost(error.__traceback__)
    elif isinstance(line.get("error"), BaseException):
        line["error"] = type(line["error"]).__name__
    return line


def _innermost(trace: TracebackType | None) -> str | None:
    return next(reversed(_places(trace)), None)


def _places(trace: TracebackType | None) -> list[str]:
    """`module:line`, the innermost last."""
    places = []
    while trace is not None:
        places.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places


def _masked(value: Any) -> Any:
    return _TEN_DIGITS.sub("[number]", value) if isinstance(value, str) else value

"""The server's own log: JSON lines on stderr, or columns where that is a terminal.

Everything logged through the standard library ends here, so libraries' lines have the same form. stdout is left to
what was asked for: a client on a pipe reads messages there. A line from within a call says whose and which call.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import msgspec
import structlog
from marshmallow import fields, validate
from structlog.typing import Processor

from .contract import Call
from .redaction import LONGEST, redact
from .settings import setting

SERVICE = "gatelodge"
Form = Literal["auto", "json", "console"]
Line = MutableMapping[str, Any]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

_call: ContextVar[Call | None] = ContextVar("logged_call", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The level is a live switch; see `LOG_LEVEL`."""

    form: Form = setting(
        "GATELODGE_LOG_FORMAT",
        fields.String(validate=validate.OneOf(["auto", "json", "console"])),
        default="auto",
        help="json, console, or auto: console on a terminal and json elsewhere.",
    )


def set_up_logs(form: Form = "auto", stream: TextIO | None = None) -> None:
    """Send every line of this process to stderr, in one form. A second time replaces the first."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(form == "console" or (form == "auto" and stream.isatty())))
    logging.basicConfig(handlers=[handler], force=True)


@contextmanager
def logged_as(call: Call) -> Iterator[None]:
    """Lines logged from here, and from tasks begun here, are of this call."""
    token = _call.set(call)
    try:
        yield
    finally:
        _call.reset(token)


def trace_id(traceparent: str | None) -> str | None:
    """The trace's id out of a `traceparent`. Source: W3C Trace Context, section 3.2."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 and parts[1].isalnum() else None


def _formatter(console: bool) -> logging.Formatter:
    last: list[Processor] = [_escape, structlog.dev.ConsoleRenderer()] if console else [_json]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso"),
            _add_call,
            structlog.processors.format_exc_info,
            _redact,
            *last,
        ],
    )


def _add_call(logger: Any, method: str, line: Line) -> Line:
    line["service"] = SERVICE
    call = _call.get()
    if call is None:
        return line
    line.setdefault("request_id", call.request_id)
    line.update(tenant=str(call.principal.tenant), user=call.principal.user, plugin=call.owner)
    line[call.kind] = call.name
    trace = trace_id(call.trace)
    if trace is not None:
        line["trace_id"] = trace
    return line


def _redact(logger: Any, method: str, line: Line) -> Line:
    """The end of a long traceback is kept: it says what happened."""
    exception = line.get("exception")
    if isinstance(exception, str) and len(exception) > LONGEST:
        line["exception"] = exception[-LONGEST:].partition("\n")[2]
    clean: Line = redact(line)
    return clean


def _escape(logger: Any, method: str, line: Line) -> Line:
    """A caller's text may not begin a line of its own, nor talk to the terminal. JSON escapes by itself."""
    for name, value in line.items():
        if isinstance(value, str):
            parts = value.split("\n") if name == "exception" else [value]
            line[name] = "\n".join(_CONTROL.sub(lambda found: repr(found[0])[1:-1], part) for part in parts)
    return line


def _json(logger: Any, method: str, line: Line) -> str:
    return msgspec.json.encode(line, enc_hook=repr).decode()

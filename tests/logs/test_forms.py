"""The two forms of a line, and what is kept out of both."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gatelodge.logs import Form, set_up_logs, trace_id

CANARY = "Bearer canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(form: Form) -> str:
    stream = io.StringIO()
    set_up_logs(form, stream)
    try:
        raise ValueError(f"no good: {CANARY}")
    except ValueError:
        logging.getLogger("gatelodge.test").exception("it failed %s", CANARY, extra={"token": "hunter2", "rows": 3})
    return stream.getvalue()


def test_a_json_line_has_all_of_it_but_secrets() -> None:
    """The message, what was added, and the traceback, each redacted."""
    text = logged("json")
    line = json.loads(text)
    assert (line["level"], line["rows"], line["token"]) == ("error", 3, "[redacted]")
    assert "ValueError: no good" in line["exception"]
    assert "canary" not in text
    assert text.count("\n") == 1


def test_the_console_form_is_for_people() -> None:
    """And redacted as well."""
    text = logged("console")
    assert "it failed" in text
    assert "canary" not in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("form", "controls"), [("json", ("\r", "\x1b[2J")), ("console", ("\r", "\x1b[2J", "\x9b", "\u2028", "\u202e"))]
)
def test_nobody_writes_a_line_of_their_own(form: Form, controls: tuple[str, ...]) -> None:
    """A caller's line breaks and terminal sequences are escaped, in the message and in what is added to it."""
    stream, forged = io.StringIO(), f"x\n2026-11-25 [error] all is lost{''.join(controls)}"
    set_up_logs(form, stream)
    logging.getLogger("gatelodge.test").warning("asked for %s", forged, extra={"path": forged.replace(" ", "")})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert [control for control in controls if control in text] == []


@pytest.mark.parametrize("given", [None, "", "nonsense", "00-short-1-01", "00-../../../../../../../../../../../-1-01"])
def test_what_is_no_trace_context_has_no_trace_id(given: str | None) -> None:
    """It is the caller's text, and must not look like an id."""
    assert trace_id(given) is None

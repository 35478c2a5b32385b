"""A Jira that is slow, failing, limiting or gone: retries that cannot act twice, the breaker, clear codes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gatelodge import ErrorCode, ToolError
from gatelodge_jira.breaker import FAILURES, PAUSE, Breaker
from gatelodge_jira.sandbox import Sandbox

from ..plugin_gate import PluginGate
from .desk import desk, sent

NEW = {"project_key": "PAY", "issue_type": "Bug", "summary": "Card form freezes"}
CREATE = "POST /rest/api/3/issue$"
READ = "GET /rest/api/3/issue/PAY-1"


@pytest.fixture
async def gate(database: str, jira: Sandbox) -> AsyncIterator[PluginGate]:
    async with desk(database, JIRA_URL=jira.url) as opened:
        await opened.answer("jira.create_issue", dry_run=True, **NEW)
        await opened.answer("jira.get_issue", issue_key="PAY-2")  # what is remembered of Jira is known from here on
        jira.requests.clear()
        yield opened


async def refused(gate: PluginGate, tool: str, **arguments: object) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await gate.answer(tool, **arguments)
    return caught.value


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_read_is_tried_again(gate: PluginGate, jira: Sandbox, status: int) -> None:
    """Two failures of the server are not seen by the caller."""
    jira.fail_next(status, times=2, match=READ)
    assert (await gate.answer("jira.get_issue", issue_key="PAY-1"))["key"] == "PAY-1"


async def test_a_read_fails_after_four_tries(gate: PluginGate, jira: Sandbox) -> None:
    """Then the code is upstream_5xx."""
    jira.fail_next(500, times=4, match=READ)
    assert (await refused(gate, "jira.get_issue", issue_key="PAY-1")).code is ErrorCode.UPSTREAM_5XX
    assert len(sent(jira, "GET")) == 4


async def test_a_create_that_failed_is_not_tried_again(gate: PluginGate, jira: Sandbox) -> None:
    """It may have been done all the same."""
    jira.fail_next(500, match=CREATE)
    assert (await refused(gate, "jira.create_issue", **NEW)).code is ErrorCode.UPSTREAM_5XX
    assert len(sent(jira, "POST")) == 1


async def test_a_create_whose_answer_was_lost_is_not_tried_again(gate: PluginGate, jira: Sandbox) -> None:
    """The connection broke after the effect: network_error, and one issue."""
    jira.drop_next(match=CREATE, after=True)
    assert (await refused(gate, "jira.create_issue", **NEW)).code is ErrorCode.NETWORK_ERROR
    assert len(sent(jira, "POST")) == 1


async def test_a_limited_create_waits_as_long_as_jira_asks(gate: PluginGate, jira: Sandbox) -> None:
    """429 means that nothing was done, so it is sent again."""
    jira.fail_next(429, headers={"Retry-After": "1"}, match=CREATE)
    assert (await gate.answer("jira.create_issue", **NEW))["issue_key"]
    assert len(sent(jira, "POST")) == 2


async def test_a_long_wait_is_left_to_the_caller(gate: PluginGate, jira: Sandbox) -> None:
    """The code is rate_limited, with the seconds to wait and Jira's reason."""
    jira.fail_next(429, headers={"Retry-After": "120", "RateLimit-Reason": "jira-burst-based"}, match=READ)
    error = await refused(gate, "jira.get_issue", issue_key="PAY-1")
    assert (error.code, error.retry_after) == (ErrorCode.RATE_LIMITED, 120)
    assert error.details["reason"] == "jira-burst-based"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, ErrorCode.UPSTREAM_4XX),
        (403, ErrorCode.FORBIDDEN),
        (404, ErrorCode.NOT_FOUND),
        (409, ErrorCode.CONFLICT),
        (413, ErrorCode.UPSTREAM_4XX),
        (302, ErrorCode.UPSTREAM_4XX),
    ],
)
async def test_each_refusal_has_its_code(gate: PluginGate, jira: Sandbox, status: int, code: ErrorCode) -> None:
    """A redirect is not followed: our credentials go nowhere else."""
    jira.fail_next(status, headers={"Location": "http://127.0.0.1:1/"}, match=READ, message="Because.")
    error = await refused(gate, "jira.get_issue", issue_key="PAY-1")
    assert error.code is code
    assert "Because." in error.message
    assert len(sent(jira, "GET")) == 1


async def test_a_slow_jira_is_given_up_at_the_deadline(gate: PluginGate, jira: Sandbox) -> None:
    """The call ends as timeout, not when Jira pleases."""
    jira.delay(30, match=READ)
    result = await gate.call("jira.get_issue", {"issue_key": "PAY-1"}, timeout=0.3)
    assert result.error is not None
    assert result.error.code is ErrorCode.TIMEOUT


async def test_a_jira_that_is_gone_is_a_network_error(database: str) -> None:
    """Nothing listens there; the error names no address and no credential."""
    async with desk(database, JIRA_URL="http://127.0.0.1:9", JIRA_USERNAME="a@b", JIRA_API_TOKEN="canary") as gate:
        error = await refused(gate, "jira.get_issue", issue_key="PAY-1")
    assert error.code is ErrorCode.NETWORK_ERROR
    assert "canary" not in str(error.details) + error.message


def test_a_breaker_opens_and_lets_one_try_decide() -> None:
    """After so many failures in a row calls are refused for a while, then one is let through."""
    now = [0.0]
    breaker = Breaker("x", clock=lambda: now[0])
    for _ in range(FAILURES):
        breaker.admit()
        breaker.failed()
    with pytest.raises(ToolError) as caught:
        breaker.admit()
    assert caught.value.retry_after == PAUSE
    now[0] = PAUSE
    breaker.admit()
    with pytest.raises(ToolError):
        breaker.admit()
    breaker.succeeded()
    breaker.admit()

"""The recording itself: that nothing passes it unseen, and that it can find fault."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from .recording import Recording
from .schema import SESSIONS, STATELESS
from .transcript import Transcript

META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
INFO = {"name": "test", "version": "1"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
TOOL = {"name": "a", "inputSchema": {"type": "object"}}
LISTED = {"resultType": "complete", "tools": [TOOL], "ttlMs": 0, "cacheScope": "private"}


def answer(result: Any, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result, **more}


def said(*messages: tuple[bool, Any]) -> Transcript:
    transcript = Transcript()
    conversation = transcript.conversation()
    for by_server, message in messages:
        conversation.pass_on(message, by_server=by_server)
    return transcript


def test_what_is_right_is_no_violation() -> None:
    """Each message is counted under the revision it belongs to."""
    transcript = said((False, LIST), (True, answer(LISTED)))
    assert transcript.violations == []
    assert transcript.counted == {(STATELESS, "client", "tools/list"): 1, (STATELESS, "server", "tools/list"): 1}


@pytest.mark.parametrize(
    "wrong",
    [
        answer({**LISTED, "tools": [{"name": "a"}]}),
        answer({**LISTED, "cacheScope": "everybody"}),
        answer({name: value for name, value in LISTED.items() if name != "resultType"}),
        answer(LISTED, jsonrpc="1.0"),
        {"jsonrpc": "2.0", "id": 1, "error": {"code": "bad", "message": "no"}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}},
        {"jsonrpc": "2.0", "id": 2, "method": "elicitation/create", "params": {"message": "Who?"}},
    ],
)
def test_what_is_wrong_of_a_server(wrong: Any) -> None:
    """A member that is missing or of another type, an envelope, a notification, and a request that this revision has not."""
    assert len(said((False, LIST), (True, wrong)).violations) == 1


@pytest.mark.parametrize("revision", SESSIONS)
def test_what_is_wrong_of_a_session(revision: str) -> None:
    """The revision that was agreed on counts from its first answer on, for batches too, in both directions."""
    params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": INFO}
    agreed = {"protocolVersion": revision, "capabilities": {}, "serverInfo": INFO}
    hello = (False, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}), (True, answer(agreed))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}}
    assert said(*hello, (False, call), (True, answer({"content": []}))).violations == []
    transcript = said(*hello, (False, [{**call, "params": {}}]), (True, [answer({"content": [{"type": "text"}]})]))
    assert [line.split(": ")[0] for line in transcript.violations] == [
        f"client, {revision}, tools/call",
        f"server, {revision}, tools/call",
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_proxy_hears_both_sides(tmp_path: Path, stream: bool) -> None:
    """Of a plain reply and of an event stream; what passes is not changed."""

    async def wrong(request: web.Request) -> web.Response:
        text = json.dumps(answer({"tools": []}))
        if stream:
            return web.Response(text=f"event: message\r\ndata: {text}\r\n\r\n", content_type="text/event-stream")
        return web.Response(text=text, content_type="application/json")

    app = web.Application()
    app.router.add_post("/mcp", wrong)
    recording = Recording(tmp_path)
    async with (
        TestServer(app) as server,
        recording.proxied(str(server.make_url("")).rstrip("/")) as url,
        aiohttp.ClientSession() as http,
        http.post(f"{url}/mcp", json=LIST) as reply,
    ):
        assert json.dumps(answer({"tools": []})) in await reply.text()
    transcript = recording.finish()
    assert transcript.counted.total() == 2
    assert len(transcript.violations) == 1


async def test_a_pipe_is_heard_on_both_sides(tmp_path: Path) -> None:
    """A server on stdio that repeats what it is told answers a request with a request."""
    recording = Recording(tmp_path)
    echo = "import sys; [print(line, end='', flush=True) for line in sys.stdin]"
    process = await asyncio.create_subprocess_exec(
        *recording.tapped(sys.executable, "-c", echo), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(json.dumps(LIST).encode() + b"\n")
    assert json.loads(output) == LIST
    transcript = recording.finish()
    assert [side for _, side, _ in transcript.counted] == ["client", "server"]
    assert len(transcript.violations) == 1

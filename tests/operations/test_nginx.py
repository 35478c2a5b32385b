"""Real nginx, with the configuration that operators get, in front of real servers: what clients see of it, and that they
see nothing of a rolling restart, nor of a move to other servers.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from .callers import KEY, SIGNED_IN, calling, in_a_session, listening, stateless, writing
from .certificate import trusting
from .fleet import SCRIPTS, Fleet, fleet, script
from .front import Front, nginx, nginx_program

WIDE = {"api": "100000r/s", "mcp": "100000r/s"}
SETTINGS = {
    "MCP_API_KEY": KEY,
    "GATELODGE_SECRET_KEY": "s" * 40,
    "GATELODGE_TRUSTED_PROXIES": "127.0.0.1/32",
    "GATELODGE_LOCAL_USER": "false",
    "MCP_SSL_REQUIRED": "true",
    "MCP_RATE_LIMIT_ENABLED": "false",
    "RATE_LIMIT_DEFAULT": "1000000",
    "GATELODGE_DRAIN_DELAY": "2",
}
EVERY_KIND = (stateless, stateless, in_a_session, in_a_session, listening, listening, writing, writing)

pytestmark = pytest.mark.usefixtures("_with_nginx")


@pytest.fixture
def _with_nginx() -> None:
    nginx_program()


@pytest.fixture
async def servers(database: str, valkey: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Two blue servers that run, and two green ones that do not."""
    names = ("blue-1", "blue-2", "green-1", "green-2")
    async with fleet(tmp_path / "fleet", *names, DATABASE_URL=database, REDIS_URL=valkey, **SETTINGS) as servers:
        await servers.run("start", "blue-1", "blue-2")
        yield servers


@pytest.fixture
async def front(servers: Fleet, tmp_path: Path) -> AsyncIterator[Front]:
    """nginx with limits so wide that no test meets them."""
    async with _front(servers, tmp_path, WIDE) as front:
        yield front


@asynccontextmanager
async def _front(servers: Fleet, tmp_path: Path, rates: dict[str, str]) -> AsyncIterator[Front]:
    colours = {colour: [servers.address(f"{colour}-{n}") for n in (1, 2)] for colour in ("blue", "green")}
    async with nginx(tmp_path / "nginx", colours, rates=rates) as front:
        yield front


def _trusting(front: Front) -> ssl.SSLContext:
    return trusting(front.certificate)


async def test_a_rolling_restart_fails_no_call(servers: Fleet, front: Front) -> None:
    """Both servers are replaced, one after the other, under clients that call all the time."""
    before = {name: (servers.folder / f"{name}.pid").read_text() for name in ("blue-1", "blue-2")}
    async with calling(front, *EVERY_KIND):
        restart = ("--restart", servers.service("restart"), "--settle", "3")
        status, said = await script(str(SCRIPTS / "rolling_restart.sh"), *restart, *servers.named("blue-1", "blue-2"))
        assert status == 0, said + servers.log()
    after = {name: (servers.folder / f"{name}.pid").read_text() for name in before}
    assert not set(before.values()) & set(after.values())


async def test_a_move_to_the_other_colour_and_back_fails_no_call(servers: Fleet, front: Front) -> None:
    """Green servers start, nginx moves over, the blue ones stop; and the same again in the other direction.

    Each request has a connection of its own: nginx before 1.27.4 closes kept ones on a reload while requests arrive on them.
    """
    options = ("--nginx", str(front.folder), "--reload", front.reload, "--test", front.prove, "--settle", "2")
    service = ("--start", servers.service("start"), "--halt", servers.service("stop"), "--public", front.url)
    async with calling(front, *EVERY_KIND, kept=False):
        for to, away in (("green", "blue"), ("blue", "green")):
            names = [f"{to}-1", f"{to}-2"]
            stop = ("--stop", f"{away}-1 {away}-2")
            status, said = await script(
                str(SCRIPTS / "blue_green.sh"), *options, *service, *stop, to, *servers.named(*names)
            )
            assert status == 0, said + servers.log()
            assert (front.folder / "live.conf").readlink() == Path(f"{to}.conf")
            assert {path.stem for path in servers.folder.glob("*.pid")} == set(names)


async def test_the_loss_of_a_server_ends_no_session(servers: Fleet, front: Front) -> None:
    """Killed, it takes with it the calls that ran on it and its streams; every client goes on, in the session it has."""
    async with calling(front, stateless, in_a_session, in_a_session, listening, listening, writing, lost=2):
        os.kill(int((servers.folder / "blue-1.pid").read_text()), signal.SIGKILL)


async def test_a_colour_that_does_not_start_gets_no_client(servers: Fleet, front: Front) -> None:
    """nginx stays with the servers it has."""
    (servers.folder / "green-2.json").write_text('{"MCP_PRT": "1"}')
    options = ("--nginx", str(front.folder), "--reload", "false", "--wait", "15", "--start", servers.service("start"))
    status, said = await script(str(SCRIPTS / "blue_green.sh"), *options, "green", *servers.named("green-1", "green-2"))
    assert status == 1
    assert "green-2 is not ready" in said
    assert (front.folder / "live.conf").readlink() == Path("blue.conf")


async def test_a_configuration_that_nginx_refuses_is_taken_back(servers: Fleet, front: Front) -> None:
    """The link is where it was, and what nginx said is told."""
    (front.folder / "green.conf").write_text("upstream gatelodge { sever 127.0.0.1:1; }")
    options = ("--nginx", str(front.folder), "--reload", front.reload, "--test", front.prove, "--start", "true")
    status, said = await script(str(SCRIPTS / "blue_green.sh"), *options, "green", *servers.named("blue-1"))
    assert status == 1
    assert "nginx is back at blue.conf" in said
    assert (front.folder / "live.conf").readlink() == Path("blue.conf")
    async with aiohttp.ClientSession() as session, session.get(f"{front.url}/health", ssl=_trusting(front)) as reply:
        assert reply.status == 200


async def test_the_last_server_is_not_restarted(servers: Fleet) -> None:
    """With the other one down, a restart would leave none."""
    await servers.run("stop", "blue-2")
    status, said = await script(
        str(SCRIPTS / "rolling_restart.sh"), "--restart", "false", *servers.named("blue-1", "blue-2")
    )
    assert status == 1
    assert "may be the last" in said


async def test_what_clients_see(front: Front) -> None:
    """TLS is required and known to the servers behind; each header comes once, and metrics stay inside."""
    trust = _trusting(front)
    async with aiohttp.ClientSession() as session:
        plain = f"http://127.0.0.1:{front.plain_port}/mcp"
        async with session.get(plain, allow_redirects=False) as reply:
            assert reply.status == 308
            assert reply.headers["Location"].startswith("https://")
        async with session.get(f"{front.url}/tools", ssl=trust, headers=SIGNED_IN) as reply:
            assert (await reply.json())["count"] == 14
            for name in ("Strict-Transport-Security", "X-Frame-Options", "Content-Security-Policy"):
                assert len(reply.headers.getall(name)) == 1
            assert "/" not in reply.headers["Server"]
        async with session.get(f"{front.url}/tools", ssl=trust) as reply:
            assert reply.status == 401


async def test_nobody_names_a_tenant_to_the_servers_behind(database: str, valkey: str, tmp_path: Path) -> None:
    """Servers that believe the headers of their proxy get none that a client has sent."""
    believing = {**SETTINGS, "GATELODGE_IDENTITY_HEADERS": "true"}
    async with fleet(
        tmp_path / "fleet", "blue-1", "blue-2", DATABASE_URL=database, REDIS_URL=valkey, **believing
    ) as all_:
        await all_.run("start", "blue-1", "blue-2")
        colours = {"blue": [all_.address("blue-1"), all_.address("blue-2")]}
        named = {"X-Tenant-ID": "00000000-0000-0000-0000-000000000001", "X-User-ID": "root"}
        async with (
            nginx(tmp_path / "nginx", colours, rates=WIDE) as front,
            aiohttp.ClientSession(headers=named) as session,
            session.get(f"{front.url}/tools", ssl=_trusting(front)) as reply,
        ):
            assert reply.status == 401


async def test_events_are_not_kept_back(front: Front) -> None:
    """Progress of a call arrives while it runs, and an event stream begins at once."""
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession(headers=SIGNED_IN) as session,
        session.get(f"{front.url}/sse", ssl=_trusting(front)) as stream,
    ):
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert await stream.content.readline() == b"event: endpoint\r\n"


async def test_a_flood_from_one_address_is_turned_away(servers: Fleet, tmp_path: Path) -> None:
    """With the limits as they are: in the shape of every other error, and with the time to wait."""
    async with _front(servers, tmp_path, {}) as front, aiohttp.ClientSession(headers=SIGNED_IN) as session:
        url = f"{front.url}/api/v1/mcp/tools/list"
        replies = await asyncio.gather(*(session.get(url, ssl=_trusting(front)) for _ in range(40)))
        refused = [reply for reply in replies if reply.status == 429]
        assert refused
        assert (await refused[0].json())["error"]["code"] == "rate_limited"
        assert refused[0].headers["Retry-After"] == "1"


async def test_no_server_at_all_is_said_plainly(servers: Fleet, front: Front) -> None:
    """503 with a code and the time to wait, not nginx's page."""
    await servers.run("stop", "blue-1", "blue-2")
    async with (
        aiohttp.ClientSession(headers=SIGNED_IN) as session,
        session.get(f"{front.url}/tools", ssl=_trusting(front)) as reply,
    ):
        assert reply.status == 503
        assert (await reply.json())["error"]["code"] == "network_error"

"""A real nginx with the configuration of etc/nginx, in front of servers on ports of a test."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from .certificate import trusting, write_certificate

ETC = Path(__file__).parents[2] / "etc/nginx"
MAIN = """
daemon off;
worker_processes 2;
worker_shutdown_timeout 60s;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    {temporary}
    include {folder}/gatelodge.conf;
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nginx_program() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("nginx is not installed; it is in Debian's package nginx-light")
    return found


@dataclass(frozen=True, slots=True)
class Front:
    """`folder` is what /etc/nginx/gatelodge is on a host; `certificate` is what clients have to trust."""

    folder: Path
    port: int
    plain_port: int
    certificate: Path
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def reload(self) -> str:
        """The command for the scripts."""
        return f"kill -HUP {self.process.pid}"

    @property
    def prove(self) -> str:
        return f"{nginx_program()} -t -p {self.folder} -c nginx.conf"

    def log(self) -> str:
        """What nginx warned of."""
        return (self.folder / "error.log").read_text()


@asynccontextmanager
async def nginx(
    folder: Path, colours: Mapping[str, Sequence[str]], *, live: str = "blue", rates: Mapping[str, str] | None = None
) -> AsyncIterator[Front]:
    """nginx over the two servers, `host:port` each, of every colour. `rates` replace those of the limits, by zone."""
    program, ports = nginx_program(), (free_port(), free_port())
    certificate = _prepare(folder, *ports, colours, live, rates or {})
    with (folder / "error.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "-p", str(folder), "-c", "nginx.conf", stderr=log)
    front = Front(folder, *ports, certificate, process)
    try:
        await _until_it_answers(front)
        yield front
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _prepare(
    folder: Path, port: int, plain: int, colours: Mapping[str, Sequence[str]], live: str, rates: Mapping[str, str]
) -> Path:
    """Everything that nginx reads; answers the certificate."""
    folder.mkdir()
    certificate, _ = write_certificate(folder)
    _render(folder, port, plain, rates)
    for colour, servers in colours.items():
        _render_colour(folder, colour, servers)
    (folder / "live.conf").symlink_to(f"{live}.conf")
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    (folder / "nginx.conf").write_text(user + MAIN.format(folder=folder, temporary=temporary))
    return certificate


def _render(folder: Path, port: int, plain: int, rates: Mapping[str, str]) -> None:
    """The files as they are, but for ports, paths and names."""
    text = (ETC / "gatelodge.conf").read_text()
    text = _replaced(text, r"listen \[::\]:.*\n", "\n")
    text = _replaced(text, r"listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    text = _replaced(text, r"listen 80;", f"listen 127.0.0.1:{plain};")
    text = _replaced(text, r"tls\.crt", "cert.pem")
    text = _replaced(text, r"tls\.key", "key.pem")
    for zone, rate in rates.items():
        text = _replaced(text, rf"zone={zone}:10m rate=\S+;", f"zone={zone}:10m rate={rate};")
    (folder / "gatelodge.conf").write_text(_replaced(text, "/etc/nginx/gatelodge/", f"{folder}/"))
    shutil.copy(ETC / "gatelodge/proxy.conf", folder)


def _render_colour(folder: Path, colour: str, servers: Sequence[str]) -> None:
    """The hub's servers of a colour; the listeners of single plugins are left as they are, for nobody asks them."""
    text = (ETC / "gatelodge/blue.conf").read_text()
    for place, server in zip(("8054", "8154"), servers, strict=True):
        text = _replaced(text, rf"127\.0\.0\.1:{place} ", f"{server} ")
    (folder / f"{colour}.conf").write_text(text)


def _replaced(text: str, pattern: str, by: str) -> str:
    """Raises `AssertionError` for what is not there: then the file has changed, and the test would not be of it."""
    done, count = re.subn(pattern, by, text)
    assert count, pattern
    return done


async def _until_it_answers(front: Front) -> None:
    """With a server behind it that is ready."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while not await _ready(session, front):
            assert front.process.returncode is None, front.log()
            await asyncio.sleep(0.1)


async def _ready(session: aiohttp.ClientSession, front: Front) -> bool:
    try:
        async with session.get(f"{front.url}/health/ready", ssl=trusting(front.certificate)) as reply:
            return reply.status == 200
    except aiohttp.ClientConnectionError:
        return False

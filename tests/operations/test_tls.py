"""TLS by the server itself, and what a service manager is told."""

from __future__ import annotations

import asyncio
import signal
import socket
import uuid
from pathlib import Path

import aiohttp
import pytest

from .certificate import trusting, write_certificate
from .processes import command, serving


async def _status(url: str, certificate: Path) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health", ssl=trusting(certificate)) as reply:
        return reply.status


async def _heard(manager: socket.socket) -> str:
    return (await asyncio.get_running_loop().sock_recv(manager, 1024)).decode()


async def test_sighup_takes_the_new_certificate_and_tells_systemd(
    database: str, tmp_path: Path, short_folder: Path
) -> None:
    """New connections see the new certificate; systemd hears of the start, the reload and the end."""
    certificate, key = write_certificate(tmp_path)
    address = short_folder / uuid.uuid4().hex
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.setblocking(False)
        settings = {"GATELODGE_TLS_CERT": str(certificate), "GATELODGE_TLS_KEY": str(key)}
        async with serving(DATABASE_URL=database, NOTIFY_SOCKET=str(address), **settings) as served:
            assert await _heard(manager) == "READY=1"
            assert served.url.startswith("https://")
            assert await _status(served.url, certificate) == 200
            write_certificate(tmp_path)
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await _status(served.url, certificate)
            served.process.send_signal(signal.SIGHUP)
            assert (await _heard(manager)).startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert await _heard(manager) == "READY=1"
            assert await _status(served.url, certificate) == 200
            key.write_text("no key")
            served.process.send_signal(signal.SIGHUP)
            assert (await _heard(manager)).startswith("RELOADING=1")
            assert await _heard(manager) == "READY=1"
            assert await _status(served.url, certificate) == 200
            assert await served.stop() == 0
            assert await _heard(manager) == "STOPPING=1"


@pytest.mark.parametrize("missing", ["GATELODGE_TLS_CERT", "GATELODGE_TLS_KEY"])
async def test_a_certificate_that_cannot_be_used_stops_the_start(database: str, missing: str, tmp_path: Path) -> None:
    """The line names the settings, and nothing listens without the TLS that was asked for."""
    status, _, said = await command("serve", DATABASE_URL=database, **{missing: str(tmp_path / "none.pem")})
    assert status == 2
    assert "GATELODGE_TLS_CERT" in said

"""What a server needs, looked at from outside: each finding is one line, with what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cryptography.x509 import load_pem_x509_certificate
from redis.exceptions import RedisError

from .. import __version__
from ..application import open_server
from ..errors import StartupError
from ..plugins import Plugins
from ..processes.settings import ProcessSettings
from ..reference import known_settings
from ..signing import SecretSettings
from ..storage import migrations
from ..storage.joining import running_dsn
from ..storage.redis import connect
from ..transports.health import check_states
from .machine import disk
from .parts import Place, problem
from .running import NoServer, ask_json

Status = Literal["ok", "warning", "failed"]

SKEW = timedelta(seconds=5)
LEAST_FREE = 0.1
EXPIRES_SOON = timedelta(days=14)
STORED = "migrations"


@dataclass(frozen=True, slots=True)
class Finding:
    """Only `failed` keeps a server from its work. `advice` is a sentence with a command, for what is not ok."""

    name: str
    status: Status
    detail: str
    advice: str = ""


async def examine(variables: Mapping[str, str]) -> list[Finding]:
    """Settings first, and the plugins last: as the server that runs sees them, or else by opening them here."""
    place = Place(variables=variables)
    wrong = problem(variables)
    if wrong is not None:
        settings = Finding("settings", "failed", wrong, "correct the environment; docs/settings.md has every name")
        return [settings, *(await _running(place))[0]]
    around = await asyncio.gather(_postgres(place), _redis(place))
    found = [
        Finding(
            "settings", "ok", f"{sum(bool(variables.get(name)) for name in known_settings())} set in the environment"
        ),
        *(finding for group in around for finding in group),
        *_disks(place),
        *_certificate(place),
        *_secret(place),
    ]
    running, ready = await _running(place)
    if ready is not None:
        seen = _of_states(ready.get("checks", ()), _installed_advice(place), ready.get("broken_plugins", ()))
        return [*found, *running, *seen]
    if any(finding.status == "failed" for finding in found):
        skipped = Finding(
            "plugins", "warning", "not opened: what they need failed", "mend what failed, and run this again"
        )
        return [*found, *running, skipped]
    return [*found, *running, *await _opened(place)]


async def _postgres(place: Place) -> list[Finding]:
    if place.storage.embedded and await running_dsn(place.data_dir) is None:
        return [Finding("postgres", "ok", f"the embedded one, in {place.data_dir}; it does not run now")]
    try:
        async with place.database() as connection:
            version, now = (await connection.fetch("SELECT current_setting('server_version'), now()", timeout=10))[0]
        states = await migrations.status(await place.dsn(), _sources())
    except StartupError as error:
        advice = "is it running, and is DATABASE_URL right? psql \"$DATABASE_URL\" -c 'SELECT 1'"
        return [Finding("postgres", "failed", str(error).removeprefix("storage: "), advice)]
    return [_clock(str(version), abs(datetime.now(UTC) - now)), _migrated(states)]


def _clock(version: str, skew: timedelta) -> Finding:
    if skew > SKEW:
        detail = f"version {version}; its clock and ours differ by {skew.total_seconds():.0f} s"
        return Finding("postgres", "warning", detail, "tokens and keys expire by the clock: set both by NTP")
    return Finding("postgres", "ok", f"version {version}")


def _migrated(states: Sequence[migrations.Migration]) -> Finding:
    pending = [item.name for item in states if not item.applied]
    if pending:
        detail = f"{len(pending)} of {len(states)} not applied, {pending[0]} first"
        return Finding(STORED, "failed", detail, "make a backup, then: gatelodge migrate up")
    return Finding(STORED, "ok", f"{len(states)} applied")


async def _redis(place: Place) -> list[Finding]:
    url = place.storage.redis_url
    if url is None:
        return []
    try:
        client = connect(url)
        try:
            await client.ping()
        finally:
            await client.aclose()
    except (StartupError, RedisError, OSError) as error:
        detail = str(error) if isinstance(error, StartupError) else type(error).__name__
        advice = 'redis-cli -u "$REDIS_URL" ping; meanwhile each process counts and caches for itself'
        return [Finding("redis", "warning", detail, advice)]
    return [Finding("redis", "ok", "answers")]


def _disks(place: Place) -> list[Finding]:
    folder = place.data_dir if place.storage.embedded else Path.cwd()
    space = disk(folder)
    detail = f"{space['free'] / 2**30:.1f} GiB free for {folder}"
    if space["free"] < LEAST_FREE * space["total"]:
        return [Finding("disk", "warning", detail, "old months of the audit may go: gatelodge maintenance run")]
    return [Finding("disk", "ok", detail)]


def _certificate(place: Place) -> list[Finding]:
    file = place.environment.read(ProcessSettings).certificate
    if file is None:
        return []
    try:
        ends = load_pem_x509_certificate(Path(file).read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return [Finding("certificate", "failed", f"{file}: {error}", "GATELODGE_TLS_CERT must name a PEM file")]
    left = ends - datetime.now(UTC)
    status: Status = "failed" if left < timedelta() else "warning" if left < EXPIRES_SOON else "ok"
    advice = "" if status == "ok" else "put a new one in its place, then: systemctl reload gatelodge, or send SIGHUP"
    return [Finding("certificate", status, f"good until {ends:%Y-%m-%d %H:%M} UTC", advice)]


def _secret(place: Place) -> list[Finding]:
    if place.storage.embedded or place.environment.read(SecretSettings).current is not None:
        return []
    detail = "GATELODGE_SECRET_KEY is not set: cursors end with the process, and no other replica reads them"
    return [Finding("secret key", "warning", detail, "set it to the same on every replica: openssl rand -hex 32")]


async def _running(place: Place) -> tuple[list[Finding], dict[str, Any] | None]:
    """Whether a server answers where these settings put it, and what it says of itself."""
    try:
        ready = await ask_json(place.server, "/health/ready")
        enabled = (await ask_json(place.server, "/health/mcp")).get("status") == "ok"
    except NoServer as error:
        advice = "start one: gatelodge serve, or systemctl start gatelodge; its log says why it ended: journalctl -u gatelodge"
        return [Finding("server", "warning", str(error), advice)], None
    found = [Finding("server", "ok", f"{ready.get('status')} at {place.server}, version {ready.get('version')}")]
    if ready.get("version") != __version__:
        found.append(Finding("version", "warning", f"{__version__} is installed", "restart the server to run it"))
    if not enabled:
        detail = "every call is answered with disabled"
        found.append(Finding("mcp_enabled", "warning", detail, "switch it on: gatelodge settings set mcp_enabled true"))
    return found, ready


async def _opened(place: Place) -> list[Finding]:
    """Open everything but the sockets, beside no server."""
    try:
        async with open_server(place.variables, join=True) as server:
            states = await check_states(server.catalogue.health)
            broken = [{"name": item.name, "reason": item.reason} for item in server.catalogue.broken]
            return _of_states(states, _advice(server.catalogue.health), broken)
    except StartupError as error:
        return [Finding("start", "failed", str(error), "the message says which setting or plugin stops the start")]


def _of_states(
    states: Sequence[Mapping[str, Any]], advice: Mapping[tuple[str, str], str], broken: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    found = []
    for state in states:
        fine = state["status"] == "ok"
        status: Status = "ok" if fine else "failed" if state["critical"] else "warning"
        hint = "" if fine else advice.get((state["plugin"], state["name"]), "")
        found.append(Finding(f"{state['plugin']}: {state['name']}", status, str(state["detail"]), hint))
    hint = "install a version that fits, or take it out: gatelodge plugins"
    return [*found, *(Finding(f"plugin {each['name']}", "failed", str(each.get("reason")), hint) for each in broken)]


def _installed_advice(place: Place) -> dict[tuple[str, str], str]:
    """Of the plugins here, which are the server's own."""
    plugins = Plugins()
    plugins.load()
    return _advice(plugins.configure(place.environment, strict=False).health)


def _advice(checks: Sequence[tuple[str, Any]]) -> dict[tuple[str, str], str]:
    return {(owner, check.name): check.advice for owner, check in checks}


def _sources() -> list[str]:
    plugins = Plugins()
    plugins.load()
    return [*migrations.CORE, *plugins.migrations()]

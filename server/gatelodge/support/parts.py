"""What a support bundle holds. Each part is gathered by itself; one that cannot be had says why in its place."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import StartupError
from ..plugins import Plugins
from ..redaction import redact, redact_text
from ..reference import known_settings, read_all
from ..settings import Environment
from ..storage import StorageError, migrations
from ..storage.embedded import default_data_dir
from ..storage.joining import running_dsn
from ..storage.opening import StorageSettings
from ..storage.postgres import connect
from .machine import system, versions
from .running import ask, ask_json, own_url

if TYPE_CHECKING:
    from ..storage.postgres import Connection

LINES = 2000
"""Of each log, the last ones."""
TAIL = 2 * 2**20
QUERY_TIMEOUT = 10.0
NOT_SHOWN = "[set, not shown]"

ERRORS = """
SELECT created_at, kind, coalesce(tool, action) AS what, outcome, request_id, trace, door, auth_method, duration_ms
FROM audit_logs WHERE outcome NOT IN ('ok', 'replayed', 'input_required') AND created_at > now() - interval '7 days'
ORDER BY created_at DESC LIMIT 200"""
LIVE = "SELECT name, value, updated_at, updated_by FROM settings ORDER BY name"
SERVER = """
SELECT version(), pg_is_in_recovery() AS standby, now() - pg_postmaster_start_time() AS up,
       pg_database_size(current_database()) AS bytes, current_setting('max_connections') AS max_connections"""
CONNECTIONS = """
SELECT application_name, state, count(*) FROM pg_stat_activity WHERE datname = current_database()
GROUP BY 1, 2 ORDER BY 1, 2"""
TABLES = """
SELECT relname AS name, n_live_tup AS rows, pg_total_relation_size(relid) AS bytes FROM pg_stat_user_tables
ORDER BY bytes DESC LIMIT 30"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is looked at: an environment, and the server that runs with it at `url`, by default where it should be."""

    variables: Mapping[str, str]
    url: str | None = None
    logs: tuple[Path, ...] = ()
    unit: str = "gatelodge"

    @property
    def environment(self) -> Environment:
        return Environment(self.variables)

    @property
    def storage(self) -> StorageSettings:
        return self.environment.read(StorageSettings)

    @property
    def data_dir(self) -> Path:
        folder = self.variables.get("GATELODGE_DATA_DIR")
        return Path(folder) if folder else default_data_dir()

    @property
    def server(self) -> str:
        """Its base address. Raises `NoServer`."""
        return self.url.rstrip("/") if self.url else own_url(self.environment)

    async def dsn(self) -> str:
        """Of the database as it is now; an embedded Postgres is not started. Raises `StorageError`."""
        settings = self.storage
        if settings.database_url is not None:
            return settings.database_url
        running = await running_dsn(self.data_dir)
        if running is None:
            raise StorageError(f"the embedded Postgres in {self.data_dir} is not running")
        return running

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        connection = await connect(await self.dsn())
        try:
            yield connection
        finally:
            await connection.close(timeout=2)


@dataclass(frozen=True, slots=True)
class Part:
    """`gather` answers text, or a JSON value."""

    file: str
    gather: Callable[[Place], Awaitable[Any]]


async def of_versions(place: Place) -> Any:
    return versions()


async def of_system(place: Place) -> Any:
    return system((Path.cwd(), place.data_dir, Path("/tmp")))


async def of_settings(place: Place) -> Any:
    """Variables by name, secret ones without their value; `problem` is what would stop the start."""
    known = known_settings()
    shown = {
        name: NOT_SHOWN if known[name].metadata["secret"] else redact_text(place.variables[name])
        for name in sorted(known)
        if place.variables.get(name)
    }
    return {"environment": shown, "problem": problem(place.variables)}


async def of_live_settings(place: Place) -> Any:
    async with place.database() as connection:
        rows = await connection.fetch(LIVE, timeout=QUERY_TIMEOUT)
    return [{**row, "value": msgspec.json.decode(row["value"])} for row in rows]


async def of_plugins(place: Place) -> Any:
    plugins = Plugins()
    plugins.load()
    found = plugins.catalogue
    loaded = [
        {"name": item.name, "distribution": item.distribution, "version": version(item.distribution)}
        for item in found.plugins.values()
    ]
    return {"loaded": loaded, "broken": found.broken}


async def of_migrations(place: Place) -> Any:
    plugins = Plugins()
    plugins.load()
    return await migrations.status(await place.dsn(), [*migrations.CORE, *plugins.migrations()])


async def of_postgres(place: Place) -> Any:
    async with place.database() as connection:
        (server,) = await connection.fetch(SERVER, timeout=QUERY_TIMEOUT)
        return {
            "server": dict(server),
            "connections": [dict(row) for row in await connection.fetch(CONNECTIONS, timeout=QUERY_TIMEOUT)],
            "tables": [dict(row) for row in await connection.fetch(TABLES, timeout=QUERY_TIMEOUT)],
        }


async def of_errors(place: Place) -> Any:
    """Of the audit: what failed and how, without arguments, users and messages."""
    async with place.database() as connection:
        return [dict(row) for row in await connection.fetch(ERRORS, timeout=QUERY_TIMEOUT)]


async def of_health(place: Place) -> Any:
    return {path: await ask_json(place.server, path) for path in ("/health", "/health/ready", "/health/mcp")}


async def of_metrics(place: Place) -> Any:
    status, body = await ask(place.server, "/metrics", accept="text/plain")
    if status != 200:
        raise StartupError("unauthorized", f"/metrics answered {status}")
    return body.decode("utf-8", "replace")


async def of_log(place: Place) -> Any:
    """The files that were named; else the journal of the unit. The server writes to stderr and keeps no file itself."""
    if place.logs:
        return "\n".join(f"==> {file} <==\n{_tail(file)}" for file in place.logs)
    return await _journal(place.unit)


PARTS = (
    Part("versions.json", of_versions),
    Part("system.json", of_system),
    Part("settings.json", of_settings),
    Part("live_settings.json", of_live_settings),
    Part("plugins.json", of_plugins),
    Part("migrations.json", of_migrations),
    Part("postgres.json", of_postgres),
    Part("errors.json", of_errors),
    Part("health.json", of_health),
    Part("metrics.txt", of_metrics),
    Part("log.txt", of_log),
)


def problem(variables: Mapping[str, str]) -> str | None:
    """What about these settings would stop a server's start, if anything."""
    try:
        read_all(Environment(variables))
    except StartupError as error:
        return redact_text(str(error))
    return None


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - TAIL))
            lines = opened.read().decode("utf-8", "replace").splitlines()[-LINES:]
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "\n".join(_line(line) for line in lines)


def _line(line: str) -> str:
    """Redacted again: the file may hold what others wrote."""
    try:
        return msgspec.json.encode(redact(msgspec.json.decode(line))).decode()
    except msgspec.DecodeError:
        return redact_text(line)


async def _journal(unit: str) -> str:
    program = shutil.which("journalctl")
    if program is None:
        raise FileNotFoundError("name the file that the server's stderr goes to with --log; there is no journal here")
    process = await asyncio.create_subprocess_exec(
        *(program, "--unit", unit, "--lines", str(LINES), "--no-pager", "--output", "cat"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said = (await process.communicate())[0].decode("utf-8", "replace")
    if process.returncode != 0 or not said.strip():
        raise FileNotFoundError(f"the journal has nothing of the unit {unit}; name a file with --log")
    return "\n".join(_line(line) for line in said.splitlines())

"""`gatelodge doctor`: a line for each thing a server needs, and under it what to do when it is not well."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gatelodge.plugins import Plugins
from gatelodge.settings import Environment
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..alerts.desk import DeskPlugin, check, do
from ..governed import until
from ..operations.certificate import write_certificate
from ..operations.processes import command


def beside(gate: Gatelodge, database: str) -> dict[str, str]:
    """The environment of a command beside that server."""
    return {"DATABASE_URL": database, "MCP_PORT": str(urlsplit(gate.url).port), "GATELODGE_SECRET_KEY": "k" * 32}


async def doctor(**settings: str) -> tuple[int, dict[str, tuple[str, str]], str]:
    """The exit status; of each line its status and the advice under it, by its name; and all that was said."""
    status, out, complaint = await command("doctor", **settings)
    assert "Traceback" not in complaint
    found: dict[str, tuple[str, str]] = {}
    name = ""
    for line in out.splitlines():
        if line.startswith(" "):
            found[name] = (found[name][0], line.strip())
        else:
            state, _, rest = line.partition(" ")
            name = rest.strip().split(": ")[0]
            found.setdefault(name, (state, ""))
    return status, found, out


async def test_all_is_well(open_gatelodge: OpenGatelodge, database: str) -> None:
    """What runs is asked; each plugin's own check has its line."""
    gate = await open_gatelodge()
    status, found, out = await doctor(**beside(gate, database))
    assert status == 0, out
    assert {state for state, _ in found.values()} <= {"ok", "warning"}
    assert {"settings", "postgres", "migrations", "disk", "server", "audit", "alerts", "sql"} <= set(found)
    assert "->" not in "".join(advice for name, (state, advice) in found.items() if state == "ok")
    assert f"server: ready at http://127.0.0.1:{urlsplit(gate.url).port}" in out


async def test_what_the_running_server_sees_is_told(open_gatelodge: OpenGatelodge, database: str) -> None:
    """An alert that fires there, and the master switch: neither fails the check, both say what to do."""
    gate = await open_gatelodge(("desk", DeskPlugin), GATELODGE_ALERT_WINDOW="60")
    await do(gate, 12, fail="internal")

    async def fires() -> bool:
        return (await check(gate, "alerts"))["status"] == "failed"

    await until(fires)
    await command("settings", "set", "mcp_enabled", "false", DATABASE_URL=database)
    status, found, out = await doctor(**beside(gate, database))
    assert status == 0, out
    assert found["alerts"][0] == "warning"
    assert "gatelodge report" in found["alerts"][1]
    assert found["mcp_enabled"] == ("warning", "-> switch it on: gatelodge settings set mcp_enabled true")


async def test_without_postgres_the_rest_is_looked_at(tmp_path: Path) -> None:
    """The failure names the place without the password, and does not hide the others."""
    dsn = "postgresql://gate:canary-password@127.0.0.1:1/gate"
    status, found, out = await doctor(DATABASE_URL=dsn, REDIS_URL="redis://:canary@127.0.0.1:1", MCP_PORT="1")
    assert status == 1
    assert found["postgres"][0] == "failed"
    assert "psql" in found["postgres"][1]
    assert found["redis"][0] == "warning"
    assert found["server"][0] == "warning"
    assert "gatelodge serve" in found["server"][1]
    assert found["disk"][0] in ("ok", "warning")
    assert found["plugins"][0] == "warning"
    assert "canary" not in out
    assert "127.0.0.1:1" in out


async def test_pending_migrations_name_the_command(empty_database: str) -> None:
    """Nothing is migrated by looking."""
    for _ in range(2):
        status, found, _ = await doctor(DATABASE_URL=empty_database)
        assert status == 1
        assert found["migrations"] == ("failed", "-> make a backup, then: gatelodge migrate up")


async def test_without_a_server_the_plugins_are_opened_here(database: str) -> None:
    """And closed again; as JSON for a script."""
    status, out, _ = await command("doctor", "--json", DATABASE_URL=database, MCP_PORT="1")
    findings = {finding["name"]: finding for finding in json.loads(out)}
    assert status == 0
    assert findings["audit: audit"]["status"] == "ok"
    assert findings["server"]["status"] == "warning"
    assert findings["secret key"]["advice"].startswith("set it to the same on every replica")


async def test_a_wrong_setting_is_named() -> None:
    """With the name that was meant."""
    status, found, out = await doctor(MCP_ENABELD="true")
    assert (status, found["settings"][0]) == (1, "failed")
    assert "did you mean MCP_ENABLED" in out


async def test_a_certificate_is_read(tmp_path: Path, database: str) -> None:
    """What cannot be read fails; a good one says until when."""
    certificate, key = write_certificate(tmp_path)
    tls = {"GATELODGE_TLS_CERT": str(certificate), "GATELODGE_TLS_KEY": str(key)}
    _, found, out = await doctor(DATABASE_URL=database, MCP_PORT="1", **tls)
    assert found["certificate"][0] in ("ok", "warning")
    assert "good until 20" in out
    _, found, _ = await doctor(DATABASE_URL=database, GATELODGE_TLS_CERT=str(tmp_path / "none"))
    assert found["certificate"][0] == "failed"


@pytest.mark.parametrize("settings", [{}, {"GATELODGE_WEBHOOK_URL": "http://x", "GATELODGE_TOOL_PINNING": "true"}])
def test_every_check_of_ours_that_can_fail_gives_advice(settings: dict[str, str]) -> None:
    """At three in the morning a name and a state are not enough."""
    plugins = Plugins()
    plugins.load()
    checks = plugins.configure(Environment(settings)).health
    assert {check.name for _, check in checks if not check.advice} <= {"concurrency"}

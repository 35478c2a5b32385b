"""The support bundle: all there is of a server, with and without its parts, and no secret in any byte."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.reference import known_settings
from gatelodge.support.parts import PARTS
from gatelodge.support.scrub import SHORTEST, Scrubber
from gatelodge.testing import OpenGatelodge

from ..alerts.desk import DeskPlugin, do
from ..operations.processes import command

KNOWN = known_settings()
PASSWORD = 's3cret/canary%41"é'
SECRETS = {
    "GATELODGE_SECRET_KEY": "canary-signing-key, canary-older-key",
    "MCP_API_KEY": "canary-shared-key-0001",
    "GATELODGE_STDIO_TOKEN": "canary-stdio-token",
    "JIRA_API_TOKEN": "canary-jira-token",
    "JIRA_URL": "https://jira:canary-login@jira.example.com",
    "JIRA_USERNAME": "gate@example.com",
    "GATELODGE_WEBHOOK_URL": "https://hooks.example.com/services/T0/canary",
    "GATELODGE_SQL_SOURCES": "lake=postgresql://reader:canary-lake@lake.example.com/lake",
    "AWS_SECRET_ACCESS_KEY": "canary-of-somebody-else",
    "HTTP_PROXY": "http://proxy:canary-proxy@proxy.example.com",
}


def unpacked(file: Path) -> dict[str, bytes]:
    """Its parts; nobody else may read the archive."""
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        members = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        return {name: opened.read() for name, opened in members.items() if opened is not None}


async def bundle(file: Path, *options: str, **settings: str) -> tuple[dict[str, bytes], str]:
    """The parts, and what was said on stderr."""
    status, out, complaint = await command("support-bundle", "--output", str(file), *options, **settings)
    assert status == 0, complaint
    assert out == f"{file}\n"
    return unpacked(file), complaint


def parsed(content: bytes) -> Any:
    return json.loads(content)


async def test_beside_a_running_server_nothing_is_missing(
    open_gatelodge: OpenGatelodge, database: str, tmp_path: Path
) -> None:
    """Versions, system, settings, plugins, migrations, Postgres, health, metrics, failures and the log."""
    gate = await open_gatelodge(("desk", DeskPlugin))
    await do(gate, fail="upstream_5xx")
    log = tmp_path / "server.log"
    log.write_text('{"event": "call", "token": "hunter2"}\nBearer canary0123456789abcdef\n')
    await command("settings", "set", "cache_ttl", "5", DATABASE_URL=database)
    options = ("--url", gate.url, "--log", str(log))
    parts, complaint = await bundle(tmp_path / "a.tar.gz", *options, DATABASE_URL=database)
    assert complaint == ""
    assert set(parts) == {"bundle.json", *(part.file for part in PARTS)}
    assert parsed(parts["versions.json"])["packages"]["aiohttp"]
    assert parsed(parts["system.json"])["memory"]["MemTotal"] > 0
    assert parsed(parts["settings.json"])["environment"]["DATABASE_URL"] == "[set, not shown]"
    assert [item["name"] for item in parsed(parts["live_settings.json"])] == ["cache_ttl"]
    assert "jira" in {item["name"] for item in parsed(parts["plugins.json"])["loaded"]}
    assert all(item["applied"] for item in parsed(parts["migrations.json"]))
    assert parsed(parts["postgres.json"])["server"]["bytes"] > 0
    assert parsed(parts["health.json"])["/health/ready"]["status"] == "ready"
    assert b"gatelodge_calls_total" in parts["metrics.txt"]
    assert [(item["what"], item["outcome"]) for item in parsed(parts["errors.json"])] == [("desk.do", "upstream_5xx")]
    assert b"hunter2" not in parts["log.txt"]
    assert b"canary" not in parts["log.txt"]
    assert b'"event":"call"' in parts["log.txt"]


async def test_without_database_and_server_the_rest_is_there(tmp_path: Path) -> None:
    """Each part that cannot be had says why, on stderr too; no secret of the environment is in any byte."""
    secrets = SECRETS | {"DATABASE_URL": f"postgresql://gate:{quote(PASSWORD, safe='')}@127.0.0.1:1/gate"}
    log = tmp_path / "server.log"
    log.write_text("\n".join([*secrets.values(), PASSWORD, quote(PASSWORD), json.dumps(PASSWORD)]))
    settings = {**secrets, "MCP_PORT": "1", "MCP_ENABELD": "canary-misspelt-0001"}
    parts, complaint = await bundle(tmp_path / "b.tar.gz", "--log", str(log), **settings)
    missing = parsed(parts["bundle.json"])["missing"]
    assert {name.partition(".")[0] for name in missing} == {
        "live_settings",
        "migrations",
        "postgres",
        "errors",
        "health",
        "metrics",
    }
    assert "127.0.0.1:1" in missing["postgres.json"]
    assert parsed(parts["health.json"]) == {"missing": missing["health.json"]}
    assert "missing errors.json: " in complaint
    assert "did you mean MCP_ENABLED" in parsed(parts["settings.json"])["problem"]
    assert "hooks.example.com/services" not in complaint
    for name, content in parts.items():
        assert b"canary" not in content, name
        assert PASSWORD.encode() not in content, name


async def test_an_embedded_postgres_is_not_started(data_dir: Path, tmp_path: Path) -> None:
    """A bundle changes nothing: it says that the database does not run."""
    parts, _ = await bundle(tmp_path / "c.tar.gz", GATELODGE_DATA_DIR=str(data_dir))
    assert "is not running" in parsed(parts["bundle.json"])["missing"]["postgres.json"]
    assert not os.path.exists(data_dir)  # noqa: ASYNC240, a moment


async def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    """Nothing is written over."""
    file = tmp_path / "d.tar.gz"
    file.write_text("mine")
    status, _, complaint = await command("support-bundle", "--output", str(file))
    assert (status, "exists" in complaint) == (1, True)
    assert file.read_text() == "mine"


def test_every_secret_setting_is_known_as_one() -> None:
    """What is marked secret is scrubbed whatever its value; names that give themselves away are, too."""
    secret = [name for name, item in KNOWN.items() if item.metadata["secret"]]
    assert {"DATABASE_URL", "REDIS_URL", "JIRA_API_TOKEN", "GATELODGE_SENTRY_DSN", "GATELODGE_WEBHOOK_SECRET"} <= {
        *secret
    }
    for name in (*secret, "PGPASSWORD", "SOME_API_KEY"):
        scrubber = Scrubber({name: "canary value"}, KNOWN)
        assert b"canary" not in scrubber.clean(b"it is canary value, is it?")


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"], exclude_characters=","), min_size=SHORTEST).filter(
        lambda text: text == text.strip()
    ),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_no_form_of_a_secret_stays(secret: str, before: str, after: str) -> None:
    """Plain, in a URL, or in JSON, with anything around it."""
    scrubber = Scrubber({"MCP_API_KEY": secret}, KNOWN)
    for form in (secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]):
        data = form.encode()
        cleaned = scrubber.clean(before.encode() + data + after.encode())
        assert data not in cleaned or data in b"[redacted]" or data in (before.encode() + after.encode())


@pytest.mark.skipif(os.name != "posix", reason="the journal is systemd's")
async def test_without_a_log_it_says_what_to_do(tmp_path: Path) -> None:
    """No file was named, and no unit of that name has a journal here."""
    parts, _ = await bundle(tmp_path / "e.tar.gz", "--unit", "no-such-unit-4711")
    assert b"--log" in parts["log.txt"]

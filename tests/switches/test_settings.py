"""`gatelodge settings`, and what the core's own switches do."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatelodge.cli import cli
from gatelodge.testing import OpenGatelodge


async def settings(database: str, *arguments: str) -> Result:
    environment = {"DATABASE_URL": database, "LOG_LEVEL": "ERROR"}
    return await asyncio.to_thread(CliRunner().invoke, cli, ["settings", *arguments], env=environment)


async def test_settings_by_the_command_line(database: str, tmp_path: Path) -> None:
    """get, set, unset, list, export and import; a default comes from the environment."""
    assert (await settings(database, "get", "log_level")).output == '"ERROR"\n'
    assert (await settings(database, "set", "log_level", "debug")).exit_code == 0
    assert (await settings(database, "set", "mcp_enabled", "false")).exit_code == 0
    assert (await settings(database, "get", "log_level")).output == '"DEBUG"\n'
    listed = (await settings(database, "list")).output.splitlines()
    assert [line.split()[:3] for line in listed if line.startswith("*")] == [
        ["*", "log_level", '"DEBUG"'],
        ["*", "mcp_enabled", "false"],
    ]
    exported = (await settings(database, "export")).output
    assert json.loads(exported) == {"log_level": "debug", "mcp_enabled": False}
    assert (await settings(database, "unset", "mcp_enabled")).exit_code == 0
    assert (await settings(database, "get", "mcp_enabled")).output == "true\n"
    file = tmp_path / "settings.json"
    file.write_text(exported)
    assert (await settings(database, "import", str(file))).output == "2 settings set\n"
    assert (await settings(database, "get", "mcp_enabled")).output == "false\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("get", "mcp_enabeld"), "not_found: There is no setting 'mcp_enabeld'; did you mean mcp_enabled?"),
        (("set", "nonsense", "1"), "not_found: There is no setting 'nonsense'"),
        (("unset", "nonsense"), "not_found: There is no setting 'nonsense'"),
        (("set", "mcp_enabled", "maybe"), "validation_error: mcp_enabled: Not a valid boolean."),
        (("set", "allowed_origins", '["https://a", 5]'), "validation_error: allowed_origins"),
    ],
)
async def test_wrong_settings_are_refused(database: str, arguments: tuple[str, ...], line: str) -> None:
    """An unknown name and a value of another type are one line with a code, and nothing is stored."""
    refused = await settings(database, *arguments)
    assert refused.exit_code == 1
    assert line in refused.stderr
    assert (await settings(database, "export")).output == "{}\n"


async def test_an_import_is_all_or_nothing(database: str, tmp_path: Path) -> None:
    """One wrong value keeps the right ones out; what is no JSON object is refused too."""
    file = tmp_path / "settings.json"
    for text in ('{"log_level": "INFO", "mcp_enabled": 5}', "[]", "{"):
        file.write_text(text)
        assert (await settings(database, "import", str(file))).exit_code != 0
    assert (await settings(database, "export")).output == "{}\n"


async def test_the_log_level_and_the_origins_are_live(open_gatelodge: OpenGatelodge, database: str) -> None:
    """A running server takes over the level its log has, and the origins that browsers may call from."""
    gate = await open_gatelodge(LOG_LEVEL="ERROR", GATELODGE_ALLOWED_ORIGINS="https://one.example")
    log = logging.getLogger("gatelodge")
    assert log.level == logging.ERROR

    async def status(origin: str) -> int:
        async with gate.session.get(f"{gate.url}/tools", headers={"Origin": origin}) as reply:
            return reply.status

    assert [await status(origin) for origin in ("https://one.example", "https://two.example")] == [200, 403]
    await settings(database, "set", "log_level", "WARNING")
    await settings(database, "set", "allowed_origins", '["https://two.example"]')
    async with asyncio.timeout(10):
        while await status("https://two.example") != 200:  # noqa: ASYNC110, the change comes through Postgres
            await asyncio.sleep(0.02)
    assert await status("https://one.example") == 403
    assert log.level == logging.WARNING

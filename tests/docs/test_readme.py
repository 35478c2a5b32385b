"""What the README tells a newcomer to do works."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from gatelodge.testing import OpenGatelodge

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def database(told_database: str) -> str:
    return told_database


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_the_demo_walks_all_fourteen_tools(open_gatelodge: OpenGatelodge) -> None:
    """It ends well, names each tool, and the retry of a create finds the same issue."""
    gate = await open_gatelodge()
    said = await _run(sys.executable, str(ROOT / "examples/demo.py"), f"{gate.url}/mcp")
    assert "the same issue" in said
    for name in gate.server.hub.tools:
        assert f"    {name} " in said


async def test_the_snippet_for_the_official_client_runs(open_gatelodge: OpenGatelodge, tmp_path: Path) -> None:
    """The README's Python, against this server in place of the usual port."""
    gate = await open_gatelodge()
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = tmp_path / "snippet.py"
    script.write_text(snippet.replace("http://127.0.0.1:8054", gate.url))
    assert "issues" in await _run(sys.executable, str(script))


@pytest.mark.parametrize("marker", ["run", "test"])
def test_there_is_one_command_to_run_and_one_to_test(marker: str) -> None:
    """Each is one line, and installs what it needs into an environment of its own."""
    (command,) = re.findall(rf"<!-- {marker} command -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert "\n" not in command
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")


@pytest.mark.parametrize(
    ("settings", "identity"),
    [({}, "are the local user"), ({"GATELODGE_LOCAL_USER": "false"}, "have to sign in (api_key, identity_headers)")],
    ids=["local", "strict"],
)
async def test_the_banner_says_what_is_served_and_to_whom(
    database: str, settings: dict[str, str], identity: str
) -> None:
    """Where, that Jira is the sandbox, and whether callers need credentials: as it is, not as it usually is."""
    ports = {"MCP_PORT": "0", "MCP_JIRA_PORT": "0", "MCP_SQL_PORT": "0"}
    variables = {"PATH": os.environ["PATH"], "DATABASE_URL": database, "GATELODGE_LOCAL_USER": "true", **ports}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatelodge", "serve"), env=variables | settings, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        said = (await process.stdout.readuntil(b"Stop with Ctrl+C.")).decode()
    finally:
        process.terminate()
        await process.wait()
    assert re.search(r"jira  http://127.0.0.1:\d+/mcp  8 tools; sandbox with demo data\n", said)
    assert identity in said

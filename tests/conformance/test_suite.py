"""The official conformance suite, in both eras, against a running server with the everything plugin."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from gatelodge_everything.plugin import EverythingPlugin

from gatelodge.testing import OpenGatelodge

from ..npm import NODE, installed

PACKAGE = Path(__file__).with_name("package.json")
SUITE = "node_modules/@modelcontextprotocol/conformance"
SCORED = {"2026-07-28": 37, "2025-11-25": 30}
"""How many server scenarios each revision requires."""
NOT_SCORED = {"2026-07-28": 13, "2025-11-25": 3}
LINE = re.compile(r"^(✓|✗) ([\w-]+): (\d+) passed, (\d+) failed$", re.MULTILINE)


@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_every_scenario_passes(open_gatelodge: OpenGatelodge, tmp_path: Path, revision: str) -> None:
    """Every scenario passes, scored or not, without a warning; no failure is expected, so there is no list of those."""
    gate = await open_gatelodge(("everything", EverythingPlugin), MCP_RATE_LIMIT_ENABLED="false")
    suite = await asyncio.to_thread(installed, PACKAGE)
    command = [str(suite / SUITE / "dist" / "index.js"), "server", "--url", f"{gate.url}/mcp"]
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        *command,
        *("--requirements", revision, "--output-dir", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    output, _ = await process.communicate()
    scenarios = {name: mark for mark, name, _, _ in LINE.findall(output.decode())}
    assert process.returncode == 0, output.decode()[-4000:]
    assert [name for name, mark in scenarios.items() if mark != "✓"] == []
    assert len(scenarios) == SCORED[revision] + NOT_SCORED[revision]
    assert _complaints(tmp_path) == []


def _complaints(folder: Path) -> list[str]:
    """Checks that did not simply pass, as the suite wrote them down."""
    checks = [check for path in folder.rglob("checks.json") for check in json.loads(path.read_text())]
    assert checks
    allowed = {"SUCCESS", "INFO", "SKIPPED"}
    return [f"{check['id']}: {check.get('errorMessage')}" for check in checks if check["status"] not in allowed]

"""Commands beside a running server, over the Postgres that it runs itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path


async def _gatelodge(*arguments: str, data_dir: Path) -> asyncio.subprocess.Process:
    ports = {"MCP_PORT": "0", "MCP_JIRA_PORT": "0", "MCP_SQL_PORT": "0"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatelodge", *arguments),
        env={"PATH": os.environ["PATH"], "GATELODGE_DATA_DIR": str(data_dir), **ports},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_doctor_and_tools_work_beside_a_server(data_dir: Path) -> None:
    """They join its database, where a second server is refused."""
    server = await _gatelodge("serve", "--quiet", data_dir=data_dir)
    try:
        assert server.stdout is not None
        assert json.loads(await server.stdout.readline())["listening"]["hub"]
        doctor = await _gatelodge("doctor", data_dir=data_dir)
        said, complaint = await doctor.communicate()
        assert doctor.returncode == 0, complaint
        assert said.startswith(b"ok ")
        call = await _gatelodge("tools", "call", "jira.get_issue", '{"issue_key": "PAY-1"}', data_dir=data_dir)
        said, complaint = await call.communicate()
        assert json.loads(said)["key"] == "PAY-1", complaint
        second = await _gatelodge("serve", data_dir=data_dir)
        _, complaint = await second.communicate()
        assert second.returncode == 2
        assert b"in use" in complaint
    finally:
        server.send_signal(signal.SIGTERM)
        await server.communicate()

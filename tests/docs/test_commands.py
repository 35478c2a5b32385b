"""Every command in README and docs does what it says: it is run, or where it cannot be, its options and paths exist."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from gatelodge.testing import Gatelodge, OpenGatelodge

from . import quick, shell
from .blocks import PAGES, ROOT, Block, blocks

NOT_RUN = ("not run: ", "run command", "test command")
SHELL = [block for page in PAGES for block in blocks(page, "sh")]
RUN = sorted({block.page for block in SHELL if not block.marker.startswith(NOT_RUN)})
SECRET = "a secret that signs the anchors of the docs"
PATIENCE = 120
PORTS = {"MCP_PORT": "hub", "MCP_JIRA_PORT": "jira", "MCP_SQL_PORT": "sql"}
SYSTEM = f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/bin"


@pytest.fixture
def database(told_database: str) -> str:
    return told_database


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_each_command_is_known(block: Block) -> None:
    """`gatelodge` has its subcommands and options, and the programs of ours that are named are there."""
    for command in shell.commands(block.code):
        program = command[0]
        if shell.is_ours(command):
            shell.check(command)
        elif program.removeprefix("./").startswith(("scripts/", "etc/", "examples/", ".ci/")):
            assert os.access(ROOT / program, os.X_OK), program
        elif Path(program).name.startswith("python") and len(command) > 1 and command[1].endswith(".py"):
            assert (ROOT / command[1]).exists(), command[1]


async def test_each_path_is_served(open_gatelodge: OpenGatelodge) -> None:
    """Whatever address of ours a page names, some listener has a route for its path."""
    gate = await open_gatelodge()
    routes = {item.canonical for each in gate.server.listeners for item in each.app.router.resources()}
    patterns = [re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route)) for route in routes]
    notes = "/notes/[^/]+"
    for page in PAGES:
        for path in shell.paths(page.read_text()):
            assert any(re.fullmatch(pattern, path) for pattern in [*patterns, notes]), f"{page.name}: {path}"


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
async def test_the_commands_of_a_page_work(
    page: Path, open_gatelodge: OpenGatelodge, database: str, tmp_path: Path, programs: Path
) -> None:
    """In their order, beside a server that runs; what stands below one as `text` is what it prints."""
    to_run = [block for block in blocks(page, "sh", "text") if not block.marker.startswith(NOT_RUN)]
    if any("curl" in block.code for block in to_run) and shutil.which("curl", path=SYSTEM) is None:
        pytest.skip("these commands need curl, which is not installed")
    folder = _work_folder(tmp_path)
    gate = await open_gatelodge(GATELODGE_SECRET_KEY=SECRET)
    said = ""
    for block in to_run:
        if block.language == "sh":
            said = await _run(block, gate, database, folder, programs)
        elif block.marker.startswith("printed"):
            assert _like(block.code, said), f"{block}: printed\n{said}"


@pytest.fixture
async def programs(short_folder: Path) -> AsyncIterator[Path]:
    """A folder with `gatelodge` in it; see `quick`."""
    folder = short_folder / uuid4().hex[:8]
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable, quick.__file__, str(folder / "socket"), str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    yield folder
    process.kill()
    await process.wait()


def _work_folder(folder: Path) -> Path:
    """A clone's look, to which nothing that a command writes is left behind."""
    for name in ("etc", "scripts", "examples", "benchmarks"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    (folder / "docs").mkdir()
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
    return folder


async def _run(block: Block, gate: Gatelodge, database: str, folder: Path, programs: Path) -> str:
    code = block.code
    for port, listener in (("8054", "hub"), ("8055", "jira"), ("8056", "sql")):
        code = re.sub(rf"http://(127\.0\.0\.1|localhost):{port}", gate.urls[listener], code)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", code),
        cwd=folder,
        env={
            "PATH": f"{programs}:{Path(sys.executable).parent}:{SYSTEM}",
            "HOME": str(folder),
            "DATABASE_URL": database,
            "GATELODGE_SECRET_KEY": SECRET,
            "GATELODGE_LOCAL_USER": "true",
            **{name: gate.urls[listener].rpartition(":")[2] for name, listener in PORTS.items()},
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, f"{block}: exit status {process.returncode}\n{output.decode()}"
    return output.decode()


def _like(shown: str, said: str) -> bool:
    """Whether that is what was printed, with anything in the place of each `…`."""
    pattern = ".*".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None

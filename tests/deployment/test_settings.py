"""Every setting that the files in etc/ give is one that Gatelodge has, with a value that fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from gatelodge.application import open_server
from gatelodge.settings import PREFIXES
from gatelodge.testing import DEFAULTS

ROOT = Path(__file__).parents[2]
ETC = ROOT / "etc"
KNOWN = frozenset(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
ASSIGNED = re.compile(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", re.MULTILINE)
SAMPLE = (ETC / "gatelodge.env.sample").read_text()
NAMED = re.compile(rf"\b(?:(?:{'|'.join(PREFIXES)})[A-Z0-9_]+|DATABASE_URL|REDIS_URL|LOG_LEVEL)\b")
NO_SETTINGS = frozenset({"GATELODGE_VERSION", "GATELODGE_PORT", "POSTGRES_DB"})
"""A variable of compose's own, and one that Kubernetes would set."""
FILES = [path for path in sorted((*ETC.rglob("*"), *(ROOT / "scripts").iterdir())) if path.is_file()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    """In samples, manifests, scripts and comments alike; also those that are commented out."""
    assert set(NAMED.findall(path.read_text())) - NO_SETTINGS <= KNOWN


def test_the_sample_names_settings_alone() -> None:
    """Also the ones without a prefix of ours."""
    assert {name for name, _ in ASSIGNED.findall(SAMPLE)} <= KNOWN


@pytest.mark.parametrize("source", ["sample", "compose", "kubernetes"])
async def test_a_server_starts_with_these_values(source: str, database: str, valkey: str) -> None:
    """Each value fits its setting, and together they are a server in production that is safe to start."""
    given = {"sample": _sample, "compose": _compose, "kubernetes": _kubernetes}[source]()
    key = {"GATELODGE_SECRET_KEY": "s" * 40, "MCP_API_KEY": "k" * 32}
    own = {**DEFAULTS, **given, **key, "DATABASE_URL": database, "REDIS_URL": valkey}
    async with open_server({**own, "GATELODGE_LOCAL_USER": "false"}) as server:
        assert server.catalogue.broken == []
        assert len(server.hub.tools) == 14


def _sample() -> Mapping[str, str]:
    return dict(re.findall(r"^([A-Z][A-Z0-9_]+)=(.+)$", SAMPLE, re.MULTILINE))


def _compose() -> Mapping[str, str]:
    service = yaml.safe_load((ETC / "compose.yaml").read_text())["services"]["server-1"]
    return {"GATELODGE_HOST": "0.0.0.0", "GATELODGE_MODE": "production", **service["environment"]}


def _kubernetes() -> Mapping[str, str]:
    data: dict[str, str] = yaml.safe_load((ETC / "kubernetes/configmap.yaml").read_text())["data"]
    return data

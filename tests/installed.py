"""Plugins of this tree as if they were installed, for servers in processes of their own."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

import gatelodge_everything

EVERYTHING = Path(gatelodge_everything.__file__).parents[1]
WAITING = Path(__file__).with_name("protocol")


def python_path(folder: Path) -> str:
    """A PYTHONPATH with the everything plugin and the waiting one: the packages, and their entry points as metadata."""
    setup = configparser.ConfigParser()
    setup.read(EVERYTHING / "setup.cfg")
    _distribution(folder, "gatelodge_everything", setup["options.entry_points"]["gatelodge"])
    _distribution(folder, "gatelodge_waiting", "waiting = waiting:WaitingPlugin")
    return os.pathsep.join(map(str, (folder, EVERYTHING, WAITING)))


def _distribution(folder: Path, name: str, entry_points: str) -> None:
    metadata = folder / f"{name}-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(f"[gatelodge]\n{entry_points}\n")

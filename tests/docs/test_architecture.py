"""The page on how a call travels shows the way that calls take."""

from __future__ import annotations

import re

from gatelodge.testing import OpenGatelodge

from .blocks import ROOT

STEP = re.compile(r"^ *│ +([A-Z]+) +([a-z_]+(?:, [a-z_]+)*)", re.MULTILINE)
OF_THE_CORE = ["draining"]


async def test_the_fold_is_shown_as_it_is(open_gatelodge: OpenGatelodge) -> None:
    """Every middleware there is, outermost first, in its phase."""
    shown = [
        (phase, name)
        for phase, names in STEP.findall((ROOT / "docs/architecture.md").read_text())
        for name in names.split(", ")
        if name not in OF_THE_CORE
    ]
    gate = await open_gatelodge(GATELODGE_TOOL_PINNING="true")
    assert shown == [(item.phase.name, item.name) for item in gate.server.catalogue.middleware]

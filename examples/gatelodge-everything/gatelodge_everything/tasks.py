"""Tools whose work may take long."""

from __future__ import annotations

from gatelodge import Tool

TOOLS: tuple[Tool, ...] = ()

"""`gatelodge plugins`: what is installed, what each brings, and what was left out."""

from __future__ import annotations

import os
from typing import Any

import click

from ..plugins import Plugins
from ..settings import Environment


@click.command()
def plugins() -> None:
    """List the installed plugins and what each registers."""
    found = Plugins()
    found.load()
    catalogue = found.configure(Environment(os.environ), strict=False)
    for name, plugin in sorted(catalogue.plugins.items()):
        kinds: dict[str, dict[str, tuple[str, Any]]] = {
            "tools": catalogue.tools,
            "resources": catalogue.resources,
            "prompts": catalogue.prompts,
        }
        counts = {kind: sum(owner == name for owner, _ in items.values()) for kind, items in kinds.items()}
        brings = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "policy"
        click.echo(f"{name:<16} {plugin.distribution:<24} {brings}")
    for broken in catalogue.broken:
        click.echo(f"{broken.name:<16} {broken.distribution:<24} BROKEN: {broken.reason}")

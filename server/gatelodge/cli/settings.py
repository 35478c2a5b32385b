"""`gatelodge settings`: read and set what takes effect without a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import IO, Any

import click

from ..reference import settings_page
from ..storage import Storage
from ..switches import Switches
from ..switches.store import forget, store, stored
from .database import on_database, operator


@click.group()
def settings() -> None:
    """Read and set what takes effect without a restart, on every replica within a second."""


@settings.command()
@click.argument("name")
def get(name: str) -> None:
    """Print the value of NAME as JSON."""

    async def run(storage: Storage, switches: Switches) -> Any:
        return (await _values(storage, switches))[switches.find(name).name]

    click.echo(json.dumps(_run(run)))


@settings.command(name="set")
@click.argument("name")
@click.argument("value")
def set_value(name: str, value: str) -> None:
    """Set NAME to VALUE: JSON, or a plain string."""
    _run(lambda storage, switches: store(storage.postgres, switches, {name: _parsed(value)}, by=operator()))


@settings.command()
@click.argument("name")
def unset(name: str) -> None:
    """Return NAME to its default."""
    _run(lambda storage, switches: forget(storage.postgres, switches.find(name), by=operator()))


@settings.command(name="list")
def list_settings() -> None:
    """List every setting: its value, where it differs from the default, and what it is for."""

    async def run(storage: Storage, switches: Switches) -> list[str]:
        own = await stored(storage.postgres)
        values = await _values(storage, switches)
        return [
            f"{'*' if name in own else ' '} {name:<32} {json.dumps(values[name]):<24} {switch.help}"
            for name, switch in sorted(switches.known.items())
        ]

    for line in _run(run):
        click.echo(line)


@settings.command()
def export() -> None:
    """Print what is set, without defaults, as a JSON object that import takes."""
    click.echo(json.dumps(_run(lambda storage, _: stored(storage.postgres)), indent=2, sort_keys=True))


@settings.command(name="import")
@click.argument("file", type=click.File())
def import_settings(file: IO[str]) -> None:
    """Set what FILE holds (- for stdin): all of it, or with one wrong value nothing."""
    try:
        values = json.load(file)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="FILE") from None
    if not isinstance(values, dict):
        raise click.BadParameter("must be a JSON object", param_hint="FILE")
    _run(lambda storage, switches: store(storage.postgres, switches, values, by=operator()))
    click.echo(f"{len(values)} settings set")


@settings.command()
def reference() -> None:
    """Print the page on every setting of Gatelodge and the plugins installed here: docs/settings.md."""
    click.echo(settings_page(), nl=False)


async def _values(storage: Storage, switches: Switches) -> dict[str, Any]:
    switches.apply(await stored(storage.postgres))
    return {name: switches.get(name) for name in switches.known}


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _run(action: Callable[[Storage, Switches], Awaitable[Any]]) -> Any:
    return asyncio.run(on_database(action))

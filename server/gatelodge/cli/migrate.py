"""`gatelodge migrate`: bring the database's schema up, take it down, or show where it stands."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import click

from ..plugins import Plugins
from ..settings import Environment
from ..storage import migrations
from ..storage.opening import StorageSettings, open_dsn


@click.group()
def migrate() -> None:
    """Apply, roll back or list database migrations."""


@migrate.command()
def up() -> None:
    """Apply every migration that is not applied yet."""
    _run(_up)


@migrate.command()
@click.option("--count", default=1, show_default=True, type=click.IntRange(min=1), help="How many to roll back.")
def down(count: int) -> None:
    """Roll back the newest migrations."""
    _run(lambda dsn, sources: _down(dsn, sources, count))


@migrate.command()
def status() -> None:
    """List the migrations and whether each is applied."""
    _run(_status)


async def _up(dsn: str, sources: list[str]) -> None:
    before = await migrations.status(dsn, sources)
    await migrations.up(dsn, sources)
    click.echo(f"applied {sum(not item.applied for item in before)} of {len(before)} migrations")


async def _down(dsn: str, sources: list[str], count: int) -> None:
    await migrations.down(dsn, count, sources)
    await _status(dsn, sources)


async def _status(dsn: str, sources: list[str]) -> None:
    for item in await migrations.status(dsn, sources):
        click.echo(f"{'applied' if item.applied else 'pending'}  {item.name}")


def _run(action: Callable[[str, list[str]], Awaitable[None]]) -> None:
    async def with_dsn() -> None:
        plugins = Plugins()
        plugins.load()
        sources = [*migrations.CORE, *plugins.migrations()]
        async with open_dsn(Environment(os.environ).read(StorageSettings)) as dsn:
            await action(dsn, sources)

    asyncio.run(with_dsn())

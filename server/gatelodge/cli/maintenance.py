"""`gatelodge maintenance`: do the chores now, as a cron job does, or see when they were done."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from ..maintenance.chores import CHORES
from ..maintenance.plugin import Places
from ..maintenance.schedule import Run, last_runs, run_due
from ..settings import Environment
from ..storage import Storage
from ..switches import Switches
from ..switches.store import stored
from .database import on_database


@click.group()
def maintenance() -> None:
    """Do the chores now, or see when they were done. Servers do them by themselves each hour."""


@maintenance.command()
@click.argument("names", nargs=-1, type=click.Choice([chore.name for chore in CHORES]))
def run(names: tuple[str, ...]) -> None:
    """Do all chores, or those of these NAMES. Exit status 1 when one fails, or another process is at it."""

    async def do(storage: Storage, switches: Switches) -> list[Run] | None:
        wanted = [chore for chore in CHORES if not names or chore.name in names]
        switches.apply(await stored(storage.postgres))
        place = Places.of(Environment(os.environ)).at(switches)
        return await run_due(storage.postgres, place, chores=wanted)

    runs = asyncio.run(on_database(do))
    if runs is None:
        raise click.ClickException("another process is doing them at this moment")
    for each in runs:
        _print(each)
    sys.exit(any(not each.ok for each in runs))


@maintenance.command()
def status() -> None:
    """Print when each chore was last done, and what came of it."""
    for each in asyncio.run(on_database(lambda storage, _: last_runs(storage.postgres))):
        _print(each)


def _print(run: Run) -> None:
    when = f"{run.finished_at:%Y-%m-%d %H:%M:%S} UTC  " if run.finished_at else ""
    click.echo(f"{'ok    ' if run.ok else 'failed'}  {when}{run.name}: {run.detail}")

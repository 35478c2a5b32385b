"""`gatelodge backup` and `gatelodge restore`."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import click

from ..backup.making import Backup, make, read_manifest, rotate, write_manifest
from ..backup.restoring import restore as restore_backup
from ..backup.restoring import verify as verify_backup
from ..backup.settings import BackupSettings, reading_dsn
from ..settings import Environment
from ..storage.opening import StorageSettings, open_dsn
from ..storage.postgres import plain_dsn


@click.command()
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Folder; GATELODGE_BACKUP_DIR by default.")
@click.option(
    "--keep", default=30, show_default=True, type=click.IntRange(min=1), help="Days; older backups are deleted."
)
@click.option(
    "--verify/--no-verify", default=True, help="Restore it into a scratch Postgres, and check the audit there."
)
def backup(to: Path | None, keep: int, verify: bool) -> None:
    """Write the database to a file, prove that it restores, and delete old backups."""
    asyncio.run(_backup(to, timedelta(days=keep), verify))


@click.command()
@click.argument("dump", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Drop the tables that are there first.")
def restore(dump: Path, replace: bool) -> None:
    """Fill the database with the backup DUMP. Stop the servers before."""
    asyncio.run(_restore(Backup(dump), replace))
    click.echo(f"{dump} is restored; bring its schema up to date with: gatelodge migrate up")


async def _backup(to: Path | None, keep: timedelta, verify: bool) -> None:
    environment = Environment(os.environ)
    settings, storage = environment.read(BackupSettings), environment.read(StorageSettings)
    folder = to or Path(settings.folder)
    async with open_dsn(storage) as dsn:
        made = await make(reading_dsn(dsn, settings, storage), folder)
    click.echo(f"{made.dump}: {made.dump.stat().st_size} bytes")
    for table in made.left_out:
        click.echo(
            f"  without the rows of {table}: set GATELODGE_BACKUP_URL, or refill it by: gatelodge jira sync", err=True
        )
    if verify:
        counts = await verify_backup(made)
        write_manifest(made, read_manifest(made) | {"verified": True, "rows": counts})
        click.echo(f"  verified: {sum(counts.values())} rows in {len(counts)} tables, the audit is whole")
    for gone in rotate(folder, keep):
        click.echo(f"  deleted {gone.name}")


async def _restore(backup: Backup, replace: bool) -> None:
    environment = Environment(os.environ)
    storage = environment.read(StorageSettings)
    async with open_dsn(storage, join=False) as dsn:
        await restore_backup(plain_dsn(dsn), backup, replace=replace)

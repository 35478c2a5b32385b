"""`gatelodge notes import`."""

from __future__ import annotations

import asyncio
import os
from typing import IO
from uuid import UUID

import click

from gatelodge import LOCAL_TENANT, Environment, Notices, StorageSettings, open_storage

from .notebook import Notebook
from .settings import NotesSettings


@click.group()
def notes() -> None:
    """Notes of your team."""


@notes.command(name="import")
@click.argument("file", type=click.File())
@click.option("--tenant", type=click.UUID, default=LOCAL_TENANT, show_default=True)
def import_notes(file: IO[str], tenant: UUID) -> None:
    """Write a note for each line of FILE."""
    lines = [line.strip() for line in file if line.strip()]
    asyncio.run(_import(lines, tenant))
    click.echo(f"{len(lines)} notes")


async def _import(lines: list[str], tenant: UUID) -> None:
    environment = Environment(os.environ)
    settings = environment.read(NotesSettings)
    async with open_storage(environment.read(StorageSettings), join=True) as storage:
        notebook = Notebook()
        notebook.open(storage.postgres, Notices())
        for line in lines:
            await notebook.add(tenant, topic=settings.topic, text=line, author="import")

"""What a command needs that works on the database and serves nobody."""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from ..errors import ToolError
from ..plugins import Plugins
from ..settings import Environment
from ..storage import Storage
from ..storage.opening import StorageSettings, open_storage
from ..switches import Switches
from ..switches.core import core_switches

T = TypeVar("T")


async def on_database(action: Callable[[Storage, Switches], Awaitable[T]]) -> T:
    """Run with an open storage, and the switches of the core and the plugins. A refusal is one line and status 1."""
    environment = Environment(os.environ)
    plugins = Plugins()
    plugins.load()
    catalogue = plugins.configure(environment, strict=False)
    switches = Switches([*core_switches(environment), *catalogue.switches])
    async with open_storage(environment.read(StorageSettings), plugins.migrations(), join=True) as storage:
        try:
            return await action(storage, switches)
        except ToolError as error:
            raise click.ClickException(f"{error.code}: {error.message}") from None


def operator() -> str:
    """Who runs this command, for the record."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for the user id, as in a container
        return "unknown"

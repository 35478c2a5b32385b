"""`gatelodge`: one file a command. A refusal to start is one line on stderr and exit status 2."""

from __future__ import annotations

import os
import sys

import click

from .. import __version__
from ..errors import StartupError
from ..logs import LogSettings, set_up_logs
from ..plugins import Plugins
from ..settings import Environment
from .audit import audit
from .backup import backup, restore
from .doctor import doctor
from .idempotency import idempotency
from .keys import keys
from .maintenance import maintenance
from .migrate import migrate
from .plugins import plugins
from .report import report
from .serve import serve
from .settings import settings
from .stdio import stdio
from .support_bundle import support_bundle
from .tools import tools
from .webhooks import webhooks


class _Commands(click.Group):
    """The core's commands, and those the plugins bring, which are looked up only when the core has none of the name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._from_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self._from_plugins().get(cmd_name)

    @staticmethod
    def _from_plugins() -> dict[str, click.Command]:
        found = Plugins()
        found.load()
        return {command.name or "": command for command in found.commands()}


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="gatelodge")
def cli() -> None:
    """A governed MCP server for Jira and SQL."""


for command in (
    serve,
    stdio,
    migrate,
    plugins,
    tools,
    doctor,
    keys,
    settings,
    audit,
    idempotency,
    maintenance,
    report,
    backup,
    restore,
    webhooks,
    support_bundle,
):
    cli.add_command(command)


def main() -> None:
    """The console script."""
    try:
        set_up_logs(Environment(os.environ).read(LogSettings).form)
        cli(prog_name="gatelodge")
    except StartupError as error:
        click.echo(f"gatelodge: {error}", err=True)
        sys.exit(2)

"""`gatelodge support-bundle`: one file to send to who helps."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from ..support.bundle import make
from ..support.parts import Place


@click.command(name="support-bundle")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; gatelodge-support-<time>.tar.gz here by default. It may not exist yet.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File that the server's stderr goes to; may be given several times. By default the journal of --unit.",
)
@click.option("--unit", default="gatelodge", show_default=True, help="The systemd unit whose journal is taken.")
@click.option("--url", help="Base address of the running server, where it is not what the settings say.")
def support_bundle(output: Path | None, logs: tuple[Path, ...], unit: str, url: str | None) -> None:
    """Gather what somebody needs who helps with this server, in one file.

    Run it with the server's own environment, while the server runs or when it does not: versions of all packages, the
    machine with its memory and disks, settings, plugins, migrations, the state of Postgres, health, metrics, recent
    failures from the audit (without arguments and users) and the end of the log. What cannot be had is said on stderr and
    in the file, with the reason.

    Secrets are left out: the values of secret settings are not read into it, and whatever value they have in this
    environment is taken out of every part. Look into it before you send it all the same.
    """
    file = output or Path(f"gatelodge-support-{datetime.now(UTC):%Y%m%d_%H%M%S}.tar.gz")
    try:
        missing = asyncio.run(make(Place(variables=os.environ, url=url, logs=logs, unit=unit), file))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    for part, why in missing.items():
        click.echo(f"missing {part}: {why}", err=True)
    click.echo(str(file))

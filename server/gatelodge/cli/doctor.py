"""`gatelodge doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import sys

import click
import msgspec

from ..support.checkup import Finding, examine


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of {name, status, detail, advice}.")
def doctor(as_json: bool) -> None:
    """Check settings, Postgres, Redis, disk, certificate, the running server and every plugin.

    Run it with the server's own environment. Each check is a line, ok, warning or failed; what is not ok has the next step
    under it. While a server runs, it is asked what its plugins say; else they are opened here, and closed again.

    Exit status 1 when something failed that a server cannot do without.
    """
    findings = asyncio.run(examine(os.environ))
    if as_json:
        click.echo(msgspec.json.encode(findings))
    else:
        for finding in findings:
            click.echo(_lines(finding))
    sys.exit(any(finding.status == "failed" for finding in findings))


def _lines(finding: Finding) -> str:
    line = f"{finding.status:<8} {finding.name}: {finding.detail}"
    return f"{line}\n{'':<8} -> {finding.advice}" if finding.advice else line

"""`gatelodge report`: the slowest tools and templates, error rates and the busiest tenants, from the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click
import msgspec

from ..maintenance.report import Report
from ..maintenance.report import report as make_report
from .database import on_database


@click.command()
@click.option(
    "--days", default=7.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="How far back."
)
@click.option("--most", default=20, show_default=True, type=click.IntRange(1, 1000), help="Rows of each part.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def report(days: float, most: int, as_json: bool) -> None:
    """Say what was slow, what failed and who called."""
    found = asyncio.run(on_database(lambda storage, _: make_report(storage.postgres, days=days, most=most)))
    if as_json:
        click.echo(msgspec.json.encode(asdict(found) | {"error_rate": found.error_rate}))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Report) -> Iterator[str]:
    yield f"Last {found.days:g} days: {found.calls} calls, {found.error_rate:.1%} failed"
    yield from _timed("Slowest tools", found.tools)
    yield from _timed("Slowest templates", found.templates)
    yield "Errors"
    yield from (f"  {row['calls']:>8}  {row['outcome']}" for row in found.errors)
    yield f"  {found.refused_logins:>8}  refused at the door"
    yield "Busiest tenants"
    for row in found.tenants:
        counts = f"{row['calls']:>8}  {row['errors']:>6} failed  {row['users']:>4} users"
        yield f"  {counts}  {row['tenant']} {row['name'] or ''}".rstrip()


def _timed(title: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{title:<34} {'calls':>8} {'failed':>7} {'p50 ms':>9} {'p95 ms':>9} {'max ms':>9}"
    for row in rows:
        times = " ".join(f"{row[name] or 0:>9.1f}" for name in ("p50_ms", "p95_ms", "max_ms"))
        yield f"  {row['tool']:<32} {row['calls']:>8} {row['errors'] / row['calls']:>7.1%} {times}"

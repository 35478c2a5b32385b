"""`gatelodge audit`: read the visitors' book, prove that it is whole, and put old months away."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

import click

from ..audit.anchors import Anchor, Signer, anchor_heads, anchor_line, anchor_of, is_signed, read_anchors
from ..audit.archive import prune as prune_months
from ..audit.archive import read_file, row_line
from ..audit.record import Row
from ..audit.search import Filter, newest, rows
from ..audit.verify import Check, Verdict
from ..audit.verify import verify as verify_chains
from ..settings import Environment
from ..signing import SecretSettings
from ..storage import Storage
from .database import on_database

if TYPE_CHECKING:
    from ..storage.postgres import Connection

POLL = 0.5
WHEN = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
FILTERS: list[tuple[str, dict[str, Any]]] = [
    ("--tenant", {"type": click.UUID, "help": "Only this tenant."}),
    ("--user", {"help": "Only this user."}),
    ("--tool", {"help": "Only calls of this tool, resource or prompt."}),
    ("--outcome", {"help": "Such as ok, replayed, forbidden."}),
    ("--kind", {"type": click.Choice(["intent", "outcome", "event"])}),
    ("--action", {"help": "Such as tool, resource, authentication."}),
    ("--request-id", {"help": "The rows of one request."}),
    ("--idempotency-key", {"help": "The rows of one key."}),
    ("--since", {"type": WHEN, "help": "From this time on (UTC)."}),
    ("--until", {"type": WHEN, "help": "Before this time (UTC)."}),
]


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say which rows are meant."""
    for name, options in reversed(FILTERS):
        command = click.option(name, **options)(command)
    return command


@click.group()
def audit() -> None:
    """Read the audit, prove that it is whole, and put old months away. Rows are printed as NDJSON."""


@audit.command()
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many rows.")
@click.option("--follow", is_flag=True, help="Go on with new rows as they come.")
@click.option("--tenant", type=click.UUID, help="Only this tenant.")
def tail(count: int, follow: bool, tenant: UUID | None) -> None:
    """Print the newest rows."""

    async def run(connection: Connection) -> None:
        shown: dict[UUID, int] = {}
        batch = await newest(connection, Filter(tenant=tenant), count)
        while True:
            for row in batch:
                if row.seq > shown.get(row.record.tenant, 0):
                    shown[row.record.tenant] = row.seq
                    _print(row)
            if not follow:
                return
            await asyncio.sleep(POLL)
            batch = await newest(connection, Filter(tenant=tenant), 1000)

    _run(run)


@audit.command()
@_filtered
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="The newest so many.")
def search(limit: int, **wanted: Any) -> None:
    """Print the newest rows that fit all of the options."""

    async def run(connection: Connection) -> None:
        for row in await newest(connection, _filter(wanted), limit):
            _print(row)

    _run(run)


@audit.command()
@_filtered
@click.option("--out", type=click.File("wb", lazy=False), default="-", help="File to write; stdout by default.")
def export(out: IO[bytes], **wanted: Any) -> None:
    """Write all rows that fit, tenant by tenant in the order of their chains."""

    async def run(connection: Connection) -> None:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            async for row in rows(connection, _filter(wanted)):
                out.write(row_line(row) + b"\n")

    _run(run)


@audit.command()
@click.option("--tenant", type=click.UUID, help="Only this tenant's chain.")
@click.option("--anchors", type=click.File("rb"), help="NDJSON of anchors that were kept elsewhere.")
@click.option("--public-key", help="Who may have signed them (hexadecimal); by default the server's secret tells.")
@click.option(
    "--archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Check exported files instead of the database.",
)
def verify(tenant: UUID | None, anchors: IO[bytes] | None, public_key: str | None, archive: tuple[Path, ...]) -> None:
    """Name the first bad row of each chain, if there is one; exit status 1 then."""
    trusted = [bytes.fromhex(public_key)] if public_key else [signer.public_key for signer in _signers()]
    kept = _trusted_anchors(anchors.readlines() if anchors else [], trusted)
    if archive:
        verdicts = [_verify_file(path) for path in archive]
    else:
        verdicts = _run(lambda connection: _verify_database(connection, tenant, kept, trusted))
    for verdict in verdicts:
        click.echo(_sentence(verdict))
    sys.exit(any(verdict.fault for verdict in verdicts))


@audit.command()
@click.option("--tenant", type=click.UUID, help="Only this tenant's chain.")
def anchor(tenant: UUID | None) -> None:
    """Sign where each chain stands now. Keep the lines on another host: `verify --anchors` proves against them."""
    signers = _signers()
    if not signers:
        raise click.ClickException("anchors are signed with GATELODGE_SECRET_KEY, which is not set")

    async def run(connection: Connection) -> None:
        for made in await anchor_heads(connection, signers[0], tenant):
            click.echo(anchor_line(made))

    _run(run)


@audit.command()
@click.option("--days", default=90, show_default=True, type=click.IntRange(min=1), help="How long rows are kept.")
@click.option(
    "--archive",
    required=True,
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="Folder for the dropped months, one .ndjson.gz each.",
)
def prune(days: int, archive: Path) -> None:
    """Archive and drop whole months that are older, and anchor where their chains stood."""
    signers = _signers()

    async def run(connection: Connection) -> None:
        async for month in prune_months(connection, archive, timedelta(days=days), signers[0] if signers else None):
            click.echo(f"{month.partition}: {month.rows} rows to {month.file}")

    _run(run)


async def _verify_database(
    connection: Connection, tenant: UUID | None, kept: tuple[Anchor, ...], trusted: list[bytes]
) -> list[Verdict]:
    """The database's own anchors count only when they are signed by whom we trust, if we know anyone."""
    if trusted:
        for found in await read_anchors(connection):
            if not is_signed(found, trusted):
                raise click.ClickException(f"{_named(found)} in the database is not signed by this server")
    return [verdict async for verdict in verify_chains(connection, tenant, kept)]


def _trusted_anchors(lines: list[bytes], trusted: list[bytes]) -> tuple[Anchor, ...]:
    try:
        found = tuple(anchor_of(line) for line in lines if line.strip())
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    for each in found:
        if not is_signed(each, trusted):
            raise click.ClickException(f"{_named(each)} is not signed by a key that is trusted")
    return found


def _verify_file(path: Path) -> Verdict:
    """Each tenant's rows in a file must follow one another; where the file begins is taken as given."""
    check, tenant = Check(), UUID(int=0)
    try:
        for row in read_file(path):
            if row.record.tenant != tenant or check.count == 0:
                tenant, check = row.record.tenant, Check.from_row(row)
            fault = check.row(row)
            if fault is not None:
                return Verdict(tenant, check.count, check.at.seq, fault)
    except ValueError as error:
        raise click.ClickException(f"{path}: {error}") from None
    return Verdict(tenant, check.count, check.at.seq, None)


def _sentence(verdict: Verdict) -> str:
    if verdict.fault is None:
        return f"{verdict.tenant}: whole, {verdict.rows} rows to number {verdict.last}"
    fault = verdict.fault
    return f"{verdict.tenant}: row {fault.seq} is {fault.problem}: {fault.sentence}"


def _named(anchor: Anchor) -> str:
    return f"the anchor of {anchor.tenant} at {anchor.seq}"


def _signers() -> list[Signer]:
    return [Signer(secret) for secret in Environment(os.environ).read(SecretSettings).keys]


def _filter(wanted: dict[str, Any]) -> Filter:
    times = {name: wanted[name] for name in ("since", "until") if wanted[name] is not None}
    return Filter(**wanted | {name: _utc(moment) for name, moment in times.items()})


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print(row: Row) -> None:
    click.echo(row_line(row))


def _run(action: Callable[[Connection], Awaitable[Any]]) -> Any:
    async def with_connection(storage: Storage, _: Any) -> Any:
        async with storage.postgres.acquire() as connection:
            return await action(connection)

    return asyncio.run(on_database(with_connection))

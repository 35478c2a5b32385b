"""`gatelodge idempotency`: see which writes nobody knows the outcome of, and settle them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import click
import msgspec

from ..audit.journal import of_event
from ..audit.once import by_operator, write_row
from ..contract import LOCAL_TENANT
from ..idempotency.store import Key, Settlement, State, listed, look
from ..storage import Storage
from .database import on_database, operator

SETTLED = {"done": "done", "not-done": "free"}


@click.group()
def idempotency() -> None:
    """See which writes nobody knows the outcome of, and settle them."""


@idempotency.command(name="list")
@click.option("--tenant", type=click.UUID, help="Only this tenant's keys.")
@click.option("--state", type=click.Choice(["unknown", "claimed", "done"]), default="unknown", show_default=True)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
def list_keys(tenant: UUID | None, state: State, limit: int) -> None:
    """Print keys as NDJSON, oldest first. `unknown` includes those whose server is gone."""

    async def run(storage: Storage, _: Any) -> None:
        for row in await listed(storage.postgres, state, tenant, limit):
            click.echo(msgspec.json.encode(row))

    asyncio.run(on_database(run))


@idempotency.command()
@click.argument("tool")
@click.argument("key")
@click.option("--tenant", type=click.UUID, default=LOCAL_TENANT, show_default=True)
@click.option("--as", "verdict", type=click.Choice(list(SETTLED)), required=True, help="Whether the write happened.")
@click.option("--result", "result", help="JSON that retries get as the result; needed with `--as done`.")
def settle(tool: str, key: str, tenant: UUID, verdict: str, result: str | None) -> None:
    """Say what became of the write of TOOL under KEY, after looking. Not done frees the key, so look twice."""
    if verdict == "done" and result is None:
        raise click.UsageError("--as done needs --result, the JSON that a retry is to get")
    packed = None if result is None else json.dumps({"structured": _parsed(result)})

    async def run(storage: Storage, _: Any) -> None:
        await _settle(storage, Key(tenant, tool, key), verdict, packed)

    asyncio.run(on_database(run))
    click.echo(f"{tool} {key}: {verdict}")


async def _settle(storage: Storage, key: Key, verdict: str, result: str | None) -> None:
    held = (await look(storage.postgres, [key])).get(key)
    if held is None:
        raise click.ClickException("there is no such key")
    if not held.uncertain:
        raise click.ClickException(f"it is {held.state}: only a key whose outcome is unknown can be settled")
    step = Settlement(key, held.fence, SETTLED[verdict], result)  # type: ignore[arg-type]
    about = {"tool": key.tool, "idempotency_key": key.key, "settled": verdict}
    event = by_operator("idempotency.settle", operator(), key.tenant, **about)
    await write_row(storage.postgres, of_event(event), step)
    if not step.kept:
        raise click.ClickException("someone else took the key over; look again")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--result") from None

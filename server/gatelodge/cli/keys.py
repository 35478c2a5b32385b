"""`gatelodge keys`: create, list, rotate and revoke API keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from ..contract import LOCAL_TENANT
from ..identity.key_store import KeyStore
from ..identity.keys import ApiKey
from .database import on_database, operator


@click.group()
def keys() -> None:
    """Create, list, rotate and revoke API keys."""


@keys.command()
@click.option("--tenant", type=click.UUID, default=LOCAL_TENANT, show_default=True, help="Tenant the key acts for.")
@click.option("--user", required=True, help="User the key acts as.")
@click.option("--scope", "scopes", multiple=True, required=True, help="Such as jira:read; may be given several times.")
@click.option("--tool", "tools", multiple=True, help="Allow only these tools (name or glob pattern).")
@click.option("--resource", "resources", multiple=True, help="Allow only these resources.")
@click.option("--prompt", "prompts", multiple=True, help="Allow only these prompts.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Days until it expires; never by default.")
def create(
    tenant: UUID,
    user: str,
    scopes: tuple[str, ...],
    tools: tuple[str, ...],
    resources: tuple[str, ...],
    prompts: tuple[str, ...],
    days: float | None,
) -> None:
    """Create a key and show it, this once."""

    async def run(store: KeyStore) -> tuple[str, str]:
        return await store.create(
            tenant=tenant,
            user=user,
            scopes=frozenset(scopes),
            tools=tools or None,
            resources=resources or None,
            prompts=prompts or None,
            expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
        )

    _show_once(_run(run))


@keys.command(name="list")
@click.option("--tenant", type=click.UUID, help="Only the keys of this tenant.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def list_keys(tenant: UUID | None, as_json: bool) -> None:
    """List keys with their state; the keys themselves are nowhere to be read."""

    async def run(store: KeyStore) -> list[ApiKey]:
        return await store.all(tenant)

    for key in _run(run):
        click.echo(json.dumps(_described(key)) if as_json else _line(key))


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap", type=click.FloatRange(min=0), default=24.0, show_default=True, help="Hours the old key lives."
)
def rotate(key_id: str, overlap: float) -> None:
    """Make a new key with the rights of KEY_ID, which expires after the overlap."""
    _show_once(_run(lambda store: store.rotate(key_id, overlap=timedelta(hours=overlap))))
    click.echo(f"{key_id} lives for {overlap:g} more hours, unless it expires before.", err=True)


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """End a key now, on every replica."""
    _run(lambda store: store.revoke(key_id))
    click.echo(f"{key_id} is revoked")


def _show_once(created: tuple[str, str]) -> None:
    """The key alone on stdout, so that it can be piped; the rest on stderr."""
    key_id, shown = created
    click.echo(f"Key {key_id}. It is shown this once; only a hash of it is kept:", err=True)
    click.echo(shown)


def _described(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": str(key.tenant),
        "user": key.user,
        "state": _state(key),
        "scopes": sorted(key.scopes),
        "tools": key.tools,
        "resources": key.resources,
        "prompts": key.prompts,
        "created_at": _text(key.created_at),
        "expires_at": _text(key.expires_at),
        "last_used_at": _text(key.last_used_at),
        "rotated_from": key.rotated_from,
    }


def _line(key: ApiKey) -> str:
    used = _text(key.last_used_at) or "never"
    ends = f", expires {_text(key.expires_at)}" if key.expires_at else ""
    return f"{key.id}  {_state(key):<8}  {key.tenant}  {key.user}  {','.join(sorted(key.scopes))}  used {used}{ends}"


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "live" if key.lives(datetime.now(UTC).timestamp()) else "expired"


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def _run(action: Callable[[KeyStore], Awaitable[Any]]) -> Any:
    return asyncio.run(on_database(lambda storage, _: action(KeyStore(storage.postgres, by=operator()))))

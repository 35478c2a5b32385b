"""`gatelodge jira`: the instances of a tenant."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from gatelodge import LOCAL_TENANT, Environment, SecretSettings, ToolError
from gatelodge.storage.opening import StorageSettings, open_dsn
from gatelodge.storage.postgres import connect, create_pool

from .addresses import refuse_private
from .api import open_api
from .client import Client
from .credentials import Vault
from .instance import Instance
from .instances import Instances
from .settings import CLOUD_API, JiraSettings, basic
from .sync import Synced
from .sync import sync as fill_tables

if TYPE_CHECKING:
    from gatelodge.storage.postgres import Connection

T = TypeVar("T")

tenant_option = click.option(
    "--tenant", type=click.UUID, default=LOCAL_TENANT, show_default="the local tenant", help="Whose instance it is."
)
INSERT = """
INSERT INTO jira_instances (tenant_id, id, url, site, flavour, public_only, credentials_encrypted)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id, id) DO NOTHING RETURNING id
"""


@click.group()
def jira() -> None:
    """Jira instances and the analytics tables."""


@jira.command()
@tenant_option
@click.option("--project", "projects", multiple=True, help="Only this project; may be given several times.")
def sync(tenant: UUID, projects: tuple[str, ...]) -> None:
    """Fill the analytics tables from all Jira instances of a tenant, in place of what they hold."""
    synced = _run_with_pool(tenant, projects)
    click.echo(f"read {synced.issues} issues, {synced.transitions} transitions; counted {synced.days} days")


@jira.group()
def instances() -> None:
    """Add, list, test and remove the Jira instances of a tenant."""


@instances.command()
@click.argument("name")
@click.option("--url", required=True, help="Address of the Jira, such as https://example.atlassian.net.")
@click.option("--username", help="E-mail address of a Cloud account; leave out for a Data Center token.")
@click.option("--cloud-id", help="For a scoped token of a Cloud account.")
@click.option("--allow-private", is_flag=True, help="Take plain http and a private address too.")
@tenant_option
def add(name: str, url: str, username: str | None, cloud_id: str | None, allow_private: bool, tenant: UUID) -> None:
    """Add an instance. Its token is asked for, or read from standard input; it never stands in the command line."""
    token = click.prompt("Token", hide_input=True, err=True)
    if not allow_private:
        refuse_private(url)
    site = url.rstrip("/")
    instance = Instance(
        id=name,
        url=f"{CLOUD_API}/{cloud_id}" if cloud_id else site,
        site=site,
        authorization=basic(username, token) if username else f"Bearer {token}",
        public_only=not allow_private,
    )
    who = _run(lambda connection, vault: _add(connection, vault, tenant, instance))
    click.echo(f"added {name}: signed in as {who}")


@instances.command("list")
@tenant_option
def list_instances(tenant: UUID) -> None:
    """List the instances of a tenant."""
    for row in _run(lambda connection, vault: _rows(connection, tenant)):
        click.echo(f"{row['id']}  {row['site']}  {row['flavour']}  added {row['created_at']:%Y-%m-%d}")


@instances.command()
@click.argument("name")
@tenant_option
def test(name: str, tenant: UUID) -> None:
    """Sign in to an instance and say as whom."""
    click.echo(f"{name}: signed in as {_run(lambda connection, vault: _test(connection, vault, tenant, name))}")


@instances.command()
@click.argument("name")
@tenant_option
def remove(name: str, tenant: UUID) -> None:
    """Remove an instance and its credentials."""
    done = _run(lambda c, vault: c.execute("DELETE FROM jira_instances WHERE tenant_id = $1 AND id = $2", tenant, name))
    if done == "DELETE 0":
        raise click.ClickException(f"there is no instance {name}")
    click.echo(f"removed {name}")


def _run_with_pool(tenant: UUID, projects: tuple[str, ...]) -> Synced:
    async def with_pool() -> Synced:
        environment = Environment(os.environ)
        vault = Vault(environment.read(SecretSettings).keys)
        async with AsyncExitStack() as stack:
            pool = await create_pool(await stack.enter_async_context(open_dsn(environment.read(StorageSettings))))
            stack.push_async_callback(pool.close)
            known = Instances(pool, vault, environment.read(JiraSettings).instance())
            stack.push_async_callback(known.close)
            apis = [await known.api(item) for item in (await known.of(tenant)).values()]
            if not apis:
                raise click.ClickException("this tenant has no Jira; set JIRA_URL or add an instance")
            return await fill_tables(pool, tenant, apis, projects)

    try:
        return asyncio.run(with_pool())
    except ToolError as error:
        raise click.ClickException(error.message) from None


async def _add(connection: Connection, vault: Vault, tenant: UUID, instance: Instance) -> str:
    """Stored only when we can sign in there."""
    sealed = vault.encrypt(instance.authorization or "")
    who, flavour = await _sign_in(instance)
    values = (tenant, instance.id, instance.url, instance.site, flavour, instance.public_only, sealed)
    if await connection.fetchval(INSERT, *values) is None:
        raise click.ClickException(f"there is an instance {instance.id} already")
    return who


async def _test(connection: Connection, vault: Vault, tenant: UUID, name: str) -> str:
    rows = [row for row in await _rows(connection, tenant) if row["id"] == name]
    if not rows:
        raise click.ClickException(f"there is no instance {name}")
    row = rows[0]
    authorization = vault.decrypt(row["credentials_encrypted"])
    instance = Instance(
        id=name, url=row["url"], site=row["site"], authorization=authorization, public_only=row["public_only"]
    )
    return (await _sign_in(instance))[0]


async def _sign_in(instance: Instance) -> tuple[str, str]:
    client = Client(instance)
    try:
        api = await open_api(client)
        return await api.check(), "cloud" if api.version == "3" else "datacenter"
    except ToolError as error:
        raise click.ClickException(f"{instance.id}: {error.message}") from None
    finally:
        await client.close()


async def _rows(connection: Connection, tenant: UUID) -> list[Any]:
    return list(await connection.fetch("SELECT * FROM jira_instances WHERE tenant_id = $1 ORDER BY id", tenant))


def _run(action: Callable[[Connection, Vault], Awaitable[T]]) -> T:
    async def with_connection() -> T:
        environment = Environment(os.environ)
        vault = Vault(environment.read(SecretSettings).keys)
        async with _connection(environment) as connection:
            return await action(connection, vault)

    try:
        return asyncio.run(with_connection())
    except ToolError as error:
        raise click.ClickException(error.message) from None


@asynccontextmanager
async def _connection(environment: Environment) -> AsyncIterator[Connection]:
    async with open_dsn(environment.read(StorageSettings)) as dsn:
        connection = await connect(dsn)
        try:
            yield connection
        finally:
            await connection.close()

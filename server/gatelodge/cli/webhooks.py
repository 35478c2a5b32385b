"""`gatelodge webhooks`: try the receiver, or see what it has not taken yet."""

from __future__ import annotations

import asyncio
import os
import socket

import aiohttp
import click

from ..settings import Environment
from ..webhooks.message import Message
from ..webhooks.outbox import waiting
from ..webhooks.poster import Poster
from ..webhooks.settings import WebhookSettings
from .database import on_database, operator


@click.group()
def webhooks() -> None:
    """Try the receiver of alerts and other messages, or see what it has not taken yet.

    Messages are posted to GATELODGE_WEBHOOK_URL by the servers: alerts, keys made, rotated and revoked, the server
    switched off and on, tools in quarantine, an audit that cannot be written.
    """


@webhooks.command()
def test() -> None:
    """Post a message of the type webhook.test now, with the settings of this environment.

    Exit status 1 when the receiver does not take it. Needs no database and no server.
    """
    settings = Environment(os.environ).read(WebhookSettings)
    if settings.url is None:
        raise click.ClickException("GATELODGE_WEBHOOK_URL is not set")
    error = asyncio.run(_post(settings.url, settings.secret))
    if error is not None:
        raise click.ClickException(error)
    click.echo("taken" if settings.secret else "taken; it was not signed, as GATELODGE_WEBHOOK_SECRET is not set")


@webhooks.command(name="list")
def list_waiting() -> None:
    """List messages that are not delivered yet, oldest first. After a day they are given up."""
    for message, error in asyncio.run(on_database(lambda storage, _: waiting(storage.postgres))):
        tried = f"  tried {message.attempts} times: {error}" if error else ""
        click.echo(f"{message.at:%Y-%m-%d %H:%M:%S} UTC  {message.type:<16} {message.text}{tried}")


async def _post(url: str, secret: str | None) -> str | None:
    data = {"host": socket.gethostname(), "by": operator()}
    message = Message(type="webhook.test", text="Gatelodge can reach you.", data=data)
    async with aiohttp.ClientSession() as session:
        return await Poster(session, url, secret).post(message)

"""Sockets that listen before the process that serves on them has started, so that no connection is lost between two."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from ..application import ServerSettings, plugin_ports
from ..listening import port_taken
from ..plugins import Plugins
from ..settings import Environment

BACKLOG = 1024

Sockets = dict[str, socket.socket]


@contextmanager
def bound(variables: Mapping[str, str]) -> Iterator[Sockets]:
    """A listening socket for each listener that a server with these variables would have.

    Raises `StartupError` for settings that do not fit, and for a port that is taken.
    """
    environment = Environment(variables)
    settings = environment.read(ServerSettings)
    plugins = Plugins()
    plugins.load()
    ports = {"hub": settings.port, **plugin_ports(plugins, environment)}
    with ExitStack() as stack:
        yield {name: stack.enter_context(_listen(name, settings.host, port)) for name, port in ports.items()}


def described(sockets: Sockets) -> list[str]:
    """As arguments for the process that inherits them: `hub=5`."""
    return [f"{name}={each.fileno()}" for name, each in sockets.items()]


def taken_over(descriptions: tuple[str, ...]) -> Sockets:
    """The sockets again, in the process that has inherited them."""
    pairs = [text.partition("=") for text in descriptions]
    return {name: socket.socket(fileno=int(number)) for name, _, number in pairs}


def _listen(name: str, host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise port_taken(name, host, port, error) from None

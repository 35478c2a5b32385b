"""Every hook a plugin may implement. Hooks register; they run once at start-up, in the order of this page.

A plugin is a class (or module) named by an entry point of the group `gatelodge`; a class is instantiated once a server. Its
methods are marked with `gatelodge.hookimpl` and may leave out parameters they do not need. A hook that has nothing to
register returns `()`. When a hook of a tool plugin raises, the plugin is left out and shown in health; when a plugin that
brings middleware or authenticators raises, the start stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click
    from prometheus_client.registry import Collector

    from .contract import Authenticator, HealthCheck, Middleware, Observer, Prompt, Recorder, Resource, Route, Tool
    from .dispatch import CompiledTool
    from .notices import Notices
    from .settings import Environment
    from .storage import Storage
    from .switches import Switch

PROJECT = "gatelodge"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def gatelodge_configure(environment: Environment) -> None:
    """First of all: read settings with `environment.read(YourSettings)` and keep them. Do no I/O but reading files."""


@hookspec
def gatelodge_tools() -> Sequence[Tool]:  # type: ignore[empty-body]
    """The tools of this plugin. Their names must be unique over all plugins."""


@hookspec
def gatelodge_resources() -> Sequence[Resource]:  # type: ignore[empty-body]
    """The resources and resource templates of this plugin, with URIs unique over all plugins."""


@hookspec
def gatelodge_prompts() -> Sequence[Prompt]:  # type: ignore[empty-body]
    """The prompts of this plugin, with names unique over all plugins."""


@hookspec
def gatelodge_middleware() -> Sequence[Middleware]:  # type: ignore[empty-body]
    """Middleware around every call of every plugin, placed by `Phase`."""


@hookspec
def gatelodge_authenticators() -> Sequence[Authenticator]:  # type: ignore[empty-body]
    """Ways to find out who a message comes from, asked at the door for every message."""


@hookspec
def gatelodge_recorders() -> Sequence[Recorder]:  # type: ignore[empty-body]
    """Told at once of what happens at the door and is no call, a refused login first of all. They must neither wait nor raise."""


@hookspec
def gatelodge_observers() -> Sequence[Observer]:  # type: ignore[empty-body]
    """Told of what the server asks Postgres, Redis and, over HTTP, others on behalf of a call: for traces."""


@hookspec
def gatelodge_routes() -> Sequence[Route]:  # type: ignore[empty-body]
    """Plain HTTP routes, added to each listener that serves this plugin."""


@hookspec
def gatelodge_switches() -> Sequence[Switch]:  # type: ignore[empty-body]
    """Settings that an operator changes while the server runs, read with `storage.switches.get(name)`."""


@hookspec
def gatelodge_port() -> int:  # type: ignore[empty-body]
    """The port of a listener that serves this plugin alone, unless `MCP_<PLUGIN>_PORT` sets another; 0 for none."""


@hookspec
def gatelodge_commands() -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Commands added under `gatelodge`. Called without `gatelodge_configure`: a command reads its own settings."""


@hookspec
def gatelodge_migrations() -> Sequence[str]:  # type: ignore[empty-body]
    """yoyo sources (`package:my_plugin:migrations`) applied after the core's."""


@hookspec
def gatelodge_compiled(tools: Mapping[str, CompiledTool]) -> None:
    """Every tool of every plugin by its name, its schemas derived, before the lifespans open: for policy on tools."""


@hookspec
def gatelodge_lifespan(storage: Storage, notices: Notices) -> AbstractAsyncContextManager[None]:  # type: ignore[empty-body]
    """An async context manager around the serving time: open pools and sessions before the first call, close them after
    the last. `notices` tells clients what has changed, for as long as it is open.
    """


@hookspec
def gatelodge_health() -> Sequence[HealthCheck]:  # type: ignore[empty-body]
    """Checks shown by `/health/ready`, run when it is asked."""


@hookspec
def gatelodge_metrics() -> Sequence[Collector]:  # type: ignore[empty-body]
    """What `/metrics` shows besides calls, errors and durations, which are counted for every plugin: collectors of
    prometheus_client made with `registry=None`, or `gatelodge.Reading` of a number you keep anyway. Names begin with that
    of your plugin and are unique over all plugins; labels take only values you choose, never what callers send.
    """

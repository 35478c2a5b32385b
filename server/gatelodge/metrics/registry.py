"""The metrics of one server; a process may have several servers, so the library's global registry is not used."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.registry import Collector

from ..errors import StartupError
from .reading import Reading


def registry_of(collectors: Iterable[tuple[str, Collector]], *, version: str) -> CollectorRegistry:
    """All of them, by the plugin that brings them, with the process's own. Raises `StartupError` for a name used twice."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, and nothing to watch
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Reading("gatelodge_info", "Always 1; its label is the version.", lambda: {version: 1}, "version"))
    for plugin, collector in collectors:
        try:
            registry.register(collector)
        except ValueError as error:
            raise StartupError("plugin_conflict", f"metrics of plugin {plugin}: {error}") from None
    return registry

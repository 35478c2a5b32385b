"""Discovery: entry points of the group `gatelodge` become plugins, and what they register becomes the `Catalogue`.

A tool plugin that breaks is left out and reported; a plugin that brings middleware or authenticators is policy, so its
failure stops the start. Two owners of one name stop the start too, naming both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from prometheus_client.registry import Collector

from . import hookspecs
from .contract import Authenticator, HealthCheck, Middleware, Observer, Prompt, Recorder, Resource, Route, Tool
from .errors import StartupError
from .names import alias
from .settings import Environment
from .switches import Switch

GROUP = hookspecs.PROJECT
POLICY_HOOKS = ("gatelodge_middleware", "gatelodge_authenticators")
SERVING_HOOKS = ("gatelodge_tools", "gatelodge_resources", "gatelodge_prompts", "gatelodge_routes")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One loaded plugin: its entry point's name, the distribution that brought it, and the registered object."""

    name: str
    distribution: str
    object: Any

    @property
    def is_policy(self) -> bool:
        return any(hasattr(self.object, hook) for hook in POLICY_HOOKS)

    @property
    def serves(self) -> bool:
        """Whether there is anything that a listener for this plugin alone could serve."""
        return any(hasattr(self.object, hook) for hook in SERVING_HOOKS)

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution})"


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that was left out, and why."""

    name: str
    distribution: str
    reason: str


@dataclass(slots=True)
class Catalogue:
    """What all plugins registered, and which plugin owns it."""

    plugins: dict[str, Plugin] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    tools: dict[str, tuple[str, Tool]] = field(default_factory=dict)
    resources: dict[str, tuple[str, Resource]] = field(default_factory=dict)
    prompts: dict[str, tuple[str, Prompt]] = field(default_factory=dict)
    middleware: list[Middleware] = field(default_factory=list)
    authenticators: list[Authenticator] = field(default_factory=list)
    recorders: list[Recorder] = field(default_factory=list)
    observers: list[Observer] = field(default_factory=list)
    routes: list[tuple[str, Route]] = field(default_factory=list)
    health: list[tuple[str, HealthCheck]] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    metrics: list[tuple[str, Collector]] = field(default_factory=list)


class Plugins:
    """The plugins of one server. `load` finds them, `configure` hands them their settings and collects what they register."""

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self.catalogue = Catalogue()

    def load(self, extra: Iterable[tuple[str, Any]] = ()) -> None:
        """Load every entry point, and `extra` pairs of name and plugin object (a test's inline plugin)."""
        for entry in entry_points(group=GROUP):
            self._load(entry)
        for name, plugin in extra:
            self._register(Plugin(name, "inline", plugin() if isinstance(plugin, type) else plugin))

    def configure(self, environment: Environment, *, strict: bool = True) -> Catalogue:
        """Let each plugin read its settings, refuse unknown ones when `strict`, and collect what is registered."""
        for plugin in list(self.catalogue.plugins.values()):
            self._attempt(
                plugin, lambda plugin=plugin: self._hook(plugin, "gatelodge_configure", environment=environment)
            )
        if strict:
            environment.refuse_unknown()
        for plugin in self._in_order():
            self._attempt(plugin, lambda plugin=plugin: self._collect(plugin))
        self._fold_order()
        return self.catalogue

    def commands(self) -> list[Any]:
        """Every click command the plugins bring."""
        return [command for plugin in self._in_order() for command in self._hook(plugin, "gatelodge_commands")]

    def port(self, name: str) -> int | None:
        """The default port of a plugin's own listener, or None."""
        return self._hook(self.catalogue.plugins[name], "gatelodge_port") or None

    def migrations(self) -> list[str]:
        """yoyo sources of all plugins, in the order of their names."""
        plugins = sorted(self.catalogue.plugins.values(), key=lambda plugin: plugin.name)
        return [source for plugin in plugins for source in self._hook(plugin, "gatelodge_migrations")]

    def tell_compiled(self, tools: Mapping[str, Any]) -> None:
        """Show the compiled tools to who asks for them."""
        for plugin in self._in_order():
            self._attempt(plugin, lambda plugin=plugin: self._hook(plugin, "gatelodge_compiled", tools=tools))

    def lifespans(self, storage: Any, notices: Any) -> list[tuple[Plugin, Any]]:
        """The async context manager of each plugin that has one.

        Policy opens last, so it closes first: a write under way then ends while its tool's plugin is still open.
        """
        found = []
        for plugin in sorted(self._in_order(), key=lambda plugin: plugin.is_policy):
            if hasattr(plugin.object, "gatelodge_lifespan"):
                found.append((plugin, self._hook(plugin, "gatelodge_lifespan", storage=storage, notices=notices)))
        return found

    def leave_out(self, plugin: Plugin, reason: BaseException) -> None:
        """Take a plugin and all it registered out of the catalogue, or stop the start when it is a policy plugin."""
        if isinstance(reason, StartupError):
            raise reason
        if plugin.is_policy:
            raise StartupError("plugin_broken", f"{plugin}: {reason}") from reason
        catalogue = self.catalogue
        catalogue.plugins.pop(plugin.name, None)
        catalogue.broken.append(Broken(plugin.name, plugin.distribution, f"{type(reason).__name__}: {reason}"))
        for registry in (catalogue.tools, catalogue.resources, catalogue.prompts):
            for name in [name for name, (owner, _) in registry.items() if owner == plugin.name]:
                del registry[name]
        catalogue.routes = [item for item in catalogue.routes if item[0] != plugin.name]
        catalogue.health = [item for item in catalogue.health if item[0] != plugin.name]
        catalogue.metrics = [item for item in catalogue.metrics if item[0] != plugin.name]

    def _load(self, entry: EntryPoint) -> None:
        distribution = entry.dist.name if entry.dist else "unknown distribution"
        try:
            loaded = entry.load()
            plugin = loaded() if isinstance(loaded, type) else loaded
        except Exception as error:  # a third party's import may raise anything; it must not take the server with it
            self.catalogue.broken.append(Broken(entry.name, distribution, f"{type(error).__name__}: {error}"))
            return
        self._register(Plugin(entry.name, distribution, plugin))

    def _register(self, plugin: Plugin) -> None:
        other = self.catalogue.plugins.get(plugin.name)
        if other is not None:
            raise StartupError("plugin_conflict", f"two plugins are named {plugin.name}: {other} and {plugin}")
        self._refuse_unknown_hooks(plugin)
        self._pluggy.register(plugin.object, name=plugin.name)
        try:
            self._pluggy.check_pending()
        except pluggy.PluginValidationError as error:
            raise StartupError("plugin_unknown_hook", f"{plugin}: {error}") from None
        self.catalogue.plugins[plugin.name] = plugin

    @staticmethod
    def _refuse_unknown_hooks(plugin: Plugin) -> None:
        """A hook without its marker would be ignored silently; a misspelt one too."""
        prefix = f"{hookspecs.PROJECT}_"
        for name in dir(plugin.object):
            if not name.startswith(prefix):
                continue
            if not hasattr(hookspecs, name):
                raise StartupError("plugin_unknown_hook", f"{plugin}: there is no hook {name}")
            if not hasattr(getattr(plugin.object, name), f"{hookspecs.PROJECT}_impl"):
                raise StartupError("plugin_unknown_hook", f"{plugin}: {name} is not marked with @hookimpl")

    def _attempt(self, plugin: Plugin, action: Any) -> None:
        try:
            action()
        except Exception as error:  # whatever a plugin's hook raises is its own failure; policy decides what follows
            self.leave_out(plugin, error)

    def _hook(self, plugin: Plugin, name: str, **arguments: Any) -> Any:
        """Call one hook of one plugin. Answers `()` where the plugin does not implement it."""
        caller = getattr(self._pluggy.hook, name)
        others = [other for other in self._pluggy.get_plugins() if other is not plugin.object]
        results = self._pluggy.subset_hook_caller(caller.name, others)(**arguments)
        return results[0] if results else ()

    def _in_order(self) -> Sequence[Plugin]:
        """Plugins by name; the order of middleware inside one phase is mended in `_fold_order`."""
        return sorted(self.catalogue.plugins.values(), key=lambda plugin: plugin.name)

    def _collect(self, plugin: Plugin) -> None:
        catalogue = self.catalogue
        for tool in self._hook(plugin, "gatelodge_tools"):
            self._own(catalogue.tools, "tool", tool.name, plugin, tool)
            self._own_alias(tool.name)
        for resource in self._hook(plugin, "gatelodge_resources"):
            self._own(catalogue.resources, "resource", resource.uri, plugin, resource)
        for prompt in self._hook(plugin, "gatelodge_prompts"):
            self._own(catalogue.prompts, "prompt", prompt.name, plugin, prompt)
        catalogue.authenticators.extend(self._hook(plugin, "gatelodge_authenticators"))
        catalogue.recorders.extend(self._hook(plugin, "gatelodge_recorders"))
        catalogue.observers.extend(self._hook(plugin, "gatelodge_observers"))
        catalogue.routes.extend((plugin.name, route) for route in self._hook(plugin, "gatelodge_routes"))
        catalogue.switches.extend(self._hook(plugin, "gatelodge_switches"))
        catalogue.health.extend((plugin.name, check) for check in self._hook(plugin, "gatelodge_health"))
        catalogue.metrics.extend((plugin.name, item) for item in self._hook(plugin, "gatelodge_metrics"))

    def _own(self, registry: dict[str, tuple[str, Any]], kind: str, name: str, plugin: Plugin, item: Any) -> None:
        if name in registry:
            other = self.catalogue.plugins[registry[name][0]]
            raise StartupError("plugin_conflict", f"{kind} {name} is registered by two plugins: {other} and {plugin}")
        registry[name] = (plugin.name, item)

    def _own_alias(self, name: str) -> None:
        """Of two tools that go by one alias, a call or an operator's pattern might mean either."""
        for other, (owner, _) in self.catalogue.tools.items():
            if other != name and alias(other) == alias(name):
                owners = f"{self.catalogue.plugins[owner]} and {self.catalogue.plugins[self.catalogue.tools[name][0]]}"
                raise StartupError("plugin_conflict", f"tools {other} and {name} are both {alias(name)}: {owners}")

    def _fold_order(self) -> None:
        """Collect middleware in pluggy's order (`tryfirst` first), then by phase; the sort is stable."""
        given = [item for batch in self._pluggy.hook.gatelodge_middleware() for item in batch]
        names = [item.name for item in given]
        for name in names:
            if names.count(name) > 1:
                raise StartupError("plugin_conflict", f"middleware {name} is registered twice")
        self.catalogue.middleware = sorted(given, key=lambda item: item.phase)
        self.catalogue.authenticators.sort(key=lambda item: item.order)

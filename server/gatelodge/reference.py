"""The page on every setting, `docs/settings.md`, written from the settings themselves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .application import ServerSettings, plugin_ports
from .logs import LogSettings
from .plugins import Plugins
from .processes.settings import ProcessSettings
from .settings import Environment
from .signing import SecretSettings
from .storage.opening import StorageSettings
from .switches import Switch
from .switches.core import core_switches
from .transports.headers import HeaderSettings

CORE = (ServerSettings, ProcessSettings, LogSettings, HeaderSettings, StorageSettings, SecretSettings)

_VARIABLES = """\
# Settings

This page is written by `gatelodge settings reference`.

Each is an environment variable, read once at the start. A value that does not fit stops the start, and so does a name
with one of these prefixes that nothing reads: {prefixes}.
Secret values are never shown.

| name | default | what it is |
|---|---|---|
"""
_LIVE = """
## Live settings

These take effect on every replica within a second: `gatelodge settings list`, `get`, `set`, `unset`, `export`, `import`.
Where a variable gives the default, what is set here wins. A plugin may bring more.

| name | default | what it is |
|---|---|---|
"""


def settings_page() -> str:
    """Markdown, of the core and every plugin installed here, whatever this process's own environment says."""
    environment = Environment({})
    switches = read_all(environment)
    variables = sorted(environment.known.items())
    prefixes = ", ".join(f"`{prefix}`" for prefix in environment.prefixes)
    return _VARIABLES.format(prefixes=prefixes) + _table(map(_variable, variables)) + _LIVE + _table(_live(switches))


def read_all(environment: Environment) -> list[Switch]:
    """Let the core and every plugin installed here read their settings, and answer their switches. Raises `StartupError`."""
    for settings in CORE:
        environment.read(settings)
    core = core_switches(environment)
    plugins = Plugins()
    plugins.load()
    plugin_ports(plugins, environment)
    return [*core, *plugins.configure(environment).switches]


def known_settings() -> Mapping[str, dataclasses.Field[Any]]:
    """Every variable that anything installed here reads, by its name."""
    environment = Environment({})
    read_all(environment)
    return environment.known


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    return "".join(f"| `{name}` | {default} | {help} |\n" for name, default, help in rows)


def _variable(item: tuple[str, dataclasses.Field[Any]]) -> tuple[str, str, str]:
    name, about = item
    secret = " Secret." if about.metadata["secret"] else ""
    return name, _default(about), _cell(about.metadata["help"]) + secret


def _default(item: dataclasses.Field[Any]) -> str:
    """As an operator would write it."""
    if item.default is None:
        return "not set"
    value = item.metadata["kind"].serialize("value", {"value": item.default})
    text = value if isinstance(value, str) else _json(value)
    return f"`{text}`" if text else "empty"


def _live(switches: Iterable[Switch]) -> Iterator[tuple[str, str, str]]:
    for switch in sorted(switches, key=lambda switch: switch.name):
        yield switch.name, f"`{_json(switch.default)}`", _cell(switch.help)


def _json(value: Any) -> str:
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(whole)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

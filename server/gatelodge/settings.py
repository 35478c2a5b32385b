"""Settings: each plugin owns a small frozen dataclass of its own, read once from the environment.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class JiraSettings:
        url: str | None = setting("JIRA_URL", fields.Url(), default=None, help="Base address of the one Jira.")

    settings = environment.read(JiraSettings)

A value that does not fit its marshmallow field, and a name with one of our prefixes that no plugin reads, stop the start.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from marshmallow import ValidationError, fields

from .errors import StartupError
from .names import matches_tool

PREFIXES = ("GATELODGE_", "MCP_", "JIRA_", "RATE_LIMIT_")
FOREIGN = frozenset({"MCP_TIMEOUT", "MCP_TOOL_TIMEOUT", "MCP_PROXY_AUTH_TOKEN", "MCP_CONNECTION_NONBLOCKING"})
"""Names with our prefix that MCP clients set in the environment of a server they start."""

T = TypeVar("T")


class CommaSeparated(fields.Field[tuple[str, ...]]):
    """`a, b,c` as the tuple of its trimmed parts; each must pass the validators."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, ...]:
        return tuple(part.strip() for part in str(value).split(",") if part.strip())

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return ",".join(value)


@dataclass(frozen=True, slots=True)
class ByTool(Generic[T]):
    """A value for each tool, by name or glob pattern; the first that matches counts."""

    pairs: tuple[tuple[str, T], ...] = ()

    def get(self, tool: str) -> T | None:
        return next((value for pattern, value in self.pairs if matches_tool(tool, (pattern,))), None)


class ByToolField(fields.Field[ByTool[Any]]):
    """`sql.*=5; jira.search=2`: names or patterns of tools, each with a value that `parse` reads or refuses."""

    def __init__(self, parse: Callable[[str], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._parse = parse

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> ByTool[Any]:
        return ByTool(tuple(self._pair(part) for part in str(value).split(";") if part.strip()))

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return "; ".join(f"{pattern}={each}" for pattern, each in value.pairs)

    def _pair(self, text: str) -> tuple[str, Any]:
        pattern, equals, value = text.partition("=")
        if not equals or not pattern.strip():
            raise ValidationError(f"{text.strip()!r} is not like name=value")
        try:
            return pattern.strip(), self._parse(value.strip())
        except ValueError as error:
            raise ValidationError(str(error)) from None


def whole_number(text: str) -> int:
    """For `ByToolField`. Raises `ValueError`."""
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def setting(name: str, kind: fields.Field[Any], *, default: Any, help: str, secret: bool = False) -> Any:
    """A dataclass field read from the environment variable `name` by the marshmallow field `kind`.

    `secret` values are never shown, not even in the error about them.
    """
    metadata = {"name": name, "kind": kind, "help": help, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata)


class Environment:
    """The process environment, and the record of which names were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.known: dict[str, dataclasses.Field[Any]] = {}
        self.prefixes: tuple[str, ...] = PREFIXES
        self._foreign = FOREIGN

    def claim(self, *prefixes: str, foreign: Iterable[str] = ()) -> None:
        """Names with these prefixes are the caller's, so one that nothing reads is refused; but not the `foreign` ones."""
        self.prefixes = (*self.prefixes, *prefixes)
        self._foreign = self._foreign.union(foreign)

    def read(self, settings: type[T]) -> T:
        """An instance of the settings dataclass. Raises `StartupError` naming the variable that does not fit."""
        values = {}
        for item in dataclasses.fields(settings):  # type: ignore[arg-type]
            name = item.metadata["name"]
            self.known[name] = item
            raw = self._variables.get(name, "")
            if raw != "":
                values[item.name] = self._parse(item, raw)
        return settings(**values)

    def refuse_unknown(self) -> None:
        """Raise `StartupError` for the first name with one of the prefixes that nothing has read."""
        for name in sorted(self._variables):
            if name.startswith(self.prefixes) and name not in self.known and name not in self._foreign:
                near = difflib.get_close_matches(name, self.known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise StartupError("setting_unknown", f"{name} is not a setting of Gatelodge or its plugins{hint}")

    @staticmethod
    def _parse(item: dataclasses.Field[Any], raw: str) -> Any:
        name, kind = item.metadata["name"], item.metadata["kind"]
        try:
            return kind.deserialize(raw)
        except ValidationError as error:
            shown = "" if item.metadata["secret"] else f" (got {raw!r})"
            raise StartupError("setting_invalid", f"{name}: {_sentence(error)}{shown}") from None


def _sentence(error: ValidationError) -> str:
    messages = error.messages
    return " ".join(str(message) for message in messages) if isinstance(messages, list) else str(messages)

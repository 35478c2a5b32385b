"""Which switches there are, of which type, and what each is set to now."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields

from ..errors import ErrorCode, StartupError, ToolError
from ..webhooks.message import Message

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A live setting: `kind` reads its JSON value; `default`, often from the environment, counts while none is set.

    `announce(value, by)` is what operators are told when somebody changes it; most are changed without a word.
    """

    name: str
    kind: fields.Field[Any]
    default: Any
    help: str
    announce: Callable[[Any, str], Message] | None = None

    def parse(self, value: Any) -> Any:
        """The typed value. Raises `validation_error` naming the switch."""
        try:
            return self.kind.deserialize(value)
        except ValidationError as error:
            sentences = list(_sentences(error.messages))
            raise ToolError(
                ErrorCode.VALIDATION_ERROR,
                f"{self.name}: {' '.join(sentences)}",
                details={"fields": {self.name: sentences}},
            ) from None


def _sentences(messages: Any, path: str = "") -> Iterator[str]:
    """Marshmallow's messages, which nest as the value does, one by one with the place in front."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _sentences(inner, path if key in ("key", "value") else f"{path}{key}: ")
    elif isinstance(messages, list):
        for inner in messages:
            yield from _sentences(inner, path)
    else:
        yield f"{path}{messages}"


class Switches:
    """The switches of one server. `get` is a look-up in a dict, so a middleware may ask at every call."""

    def __init__(self, switches: Iterable[Switch] = ()) -> None:
        self.known: dict[str, Switch] = {}
        for switch in switches:
            if switch.name in self.known:
                raise StartupError("plugin_conflict", f"switch {switch.name} is registered twice")
            self.known[switch.name] = switch
        self._values = {name: switch.default for name, switch in self.known.items()}
        self._callbacks: dict[str, list[Callable[[Any], None]]] = {}
        self._unfit: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """The value now. A `KeyError` is a switch that nobody registered."""
        return self._values[name]

    def follow(self, name: str, callback: Callable[[Any], None]) -> None:
        """Call back with the value now, and whenever it changes."""
        self._callbacks.setdefault(name, []).append(callback)
        callback(self.get(name))

    def find(self, name: str) -> Switch:
        """Raises `not_found` with the nearest name."""
        if name not in self.known:
            near = difflib.get_close_matches(name, self.known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ToolError(ErrorCode.NOT_FOUND, f"There is no setting {name!r}{hint}")
        return self.known[name]

    def apply(self, stored: Mapping[str, Any]) -> None:
        """Take over what is stored; a value that does not fit leaves the default in force, and is logged."""
        for name, switch in self.known.items():
            value = self._parsed(switch, stored[name]) if name in stored else switch.default
            if value != self._values[name]:
                self._values[name] = value
                for callback in self._callbacks.get(name, ()):
                    callback(value)

    def _parsed(self, switch: Switch, value: Any) -> Any:
        try:
            return switch.parse(value)
        except ToolError as error:
            if self._unfit.get(switch.name) != value:  # all are read again every few seconds
                self._unfit[switch.name] = value
                logger.error(
                    "a stored setting does not fit, so its default counts: %s; gatelodge settings set or unset it",
                    error.message,
                )
            return switch.default

"""Trouble on order: error replies, delays and broken connections, for the tests of clients."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next `times` requests whose `METHOD /path` the pattern `match` is found in.

    With a `status` that is the answer, without one the connection breaks; `after` the effect, or in its place. A fault
    with a `delay` only waits, in seconds, before anything else.
    """

    match: str = ""
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    after: bool = False
    delay: float = 0.0


class Faults:
    """The faults that are still to come, first ordered first."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def order(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def take_delay(self, line: str) -> float:
        """How long a request with this line must wait."""
        fault = self._take(line, delaying=True)
        return fault.delay if fault else 0.0

    def take(self, line: str) -> Fault | None:
        """What goes wrong with a request with this line."""
        return self._take(line, delaying=False)

    def _take(self, line: str, *, delaying: bool) -> Fault | None:
        for fault in self._waiting:
            if bool(fault.delay) is delaying and re.search(fault.match, line):
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None

"""A circuit breaker: a Jira that keeps failing is left alone for a while, and then tried by one call."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from gatelodge import ErrorCode, ToolError

FAILURES = 5
PAUSE = 15.0
"""Seconds without a try after so many failures in a row."""


class Breaker:
    """Closed until `FAILURES` tries in a row have failed; after `PAUSE` seconds one try decides."""

    def __init__(self, name: str, clock: Callable[[], float] = monotonic) -> None:
        self._name = name
        self._clock = clock
        self._failures = 0
        self._closed_at = 0.0

    @property
    def open(self) -> bool:
        return self._failures >= FAILURES and self._clock() < self._closed_at

    def admit(self) -> None:
        """Raise `network_error` with `retry_after` while the breaker is open."""
        if self.open:
            wait = self._closed_at - self._clock()
            raise ToolError(
                ErrorCode.NETWORK_ERROR,
                f"Jira instance {self._name} has failed {self._failures} times in a row and is left alone for now.",
                details={"instance": self._name},
                retry_after=round(max(wait, 0.1), 1),
            )
        if self._failures >= FAILURES:
            self._closed_at = self._clock() + PAUSE  # this try decides; the others wait for what it finds

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_at = self._clock() + PAUSE

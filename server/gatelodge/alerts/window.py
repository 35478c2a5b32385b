"""Counts over the last seconds, in a ring of slots: to count is to add to a number."""

from __future__ import annotations

from dataclasses import dataclass

SLOTS = 60


@dataclass(frozen=True, slots=True)
class Totals:
    """Calls that ended, those that failed through no fault of their caller, and those that took too long."""

    calls: int = 0
    faults: int = 0
    slow: int = 0


class Window:
    """`seconds` is how far back it reaches, to within a slot; times are of any clock that does not go back."""

    def __init__(self, seconds: float, now: float) -> None:
        self.seconds = seconds
        self.width = seconds / SLOTS
        self._calls = [0] * SLOTS
        self._faults = [0] * SLOTS
        self._slow = [0] * SLOTS
        self._newest = int(now / self.width)

    def add(self, now: float, *, fault: bool, slow: bool) -> None:
        """Count a call that has ended."""
        at = self._at(now)
        self._calls[at] += 1
        self._faults[at] += fault
        self._slow[at] += slow

    def totals(self, now: float) -> Totals:
        self._at(now)
        return Totals(sum(self._calls), sum(self._faults), sum(self._slow))

    def _at(self, now: float) -> int:
        """The slot of this moment; slots that were passed since the last time are empty again."""
        slot = int(now / self.width)
        for passed in range(max(self._newest, slot - SLOTS) + 1, slot + 1):
            at = passed % SLOTS
            self._calls[at] = self._faults[at] = self._slow[at] = 0
        self._newest = slot
        return slot % SLOTS

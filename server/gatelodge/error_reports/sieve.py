"""A failure that repeats is told of once a minute."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable

MOST = 20
"""Different failures told of in a minute."""
MINUTE = 60.0


class Sieve:
    """`now` is a clock in seconds that does not go back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._seen: Counter[Hashable] = Counter()
        self._before: Counter[Hashable] = Counter()

    def admits(self, place: Hashable) -> bool:
        """Whether to tell of a failure at this place: the first time in each minute, and not when there are too many."""
        if self._now() - self._began >= MINUTE:
            self._began, self._before, self._seen = self._now(), self._seen, Counter()
        if place not in self._seen and len(self._seen) >= MOST:
            return False
        self._seen[place] += 1
        return self._seen[place] == 1

    def left_out(self, place: Hashable) -> int:
        """How many were not told of in the minute before."""
        return max(0, self._before[place] - 1)

"""How often what was called, how it ended and how long it took."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector

from ..contract import Call

CALLS = "gatelodge_calls_total"
ERRORS = "gatelodge_call_errors_total"
DURATION = "gatelodge_call_duration_seconds"

FINE = frozenset({"ok", "replayed", "input_required"})
"""Outcomes that are no error."""
UNKNOWN = "unknown"
"""Stands for every name that nobody registered: what callers make up may not become labels."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Target = tuple[str, str, str]
"""Kind, plugin and name."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """The counters of one target and outcome, looked up once."""

    calls: Counter
    errors: Counter | None
    duration: Histogram

    def add(self, seconds: float) -> None:
        self.calls.inc()
        self.duration.observe(seconds)
        if self.errors is not None:
            self.errors.inc()


class CallMetrics:
    """Labels are what plugins registered, so there are only so many of them."""

    def __init__(self) -> None:
        labels = ("kind", "plugin", "name")
        self._calls = Counter(CALLS, "Calls that have ended.", (*labels, "outcome"), registry=None)
        self._errors = Counter(ERRORS, "Calls that have ended in an error.", (*labels, "code"), registry=None)
        self._duration = Histogram(DURATION, "Seconds a call took.", labels, buckets=BUCKETS, registry=None)
        self._ended: dict[tuple[Target, str], _Ended] = {}

    @property
    def collectors(self) -> tuple[Collector, ...]:
        return self._calls, self._errors, self._duration

    def add(self, target: Target, outcome: str, seconds: float) -> None:
        """Count a call that has ended."""
        ended = self._ended.get((target, outcome))
        if ended is None:
            ended = self._ended[target, outcome] = self._look_up(target, outcome)
        ended.add(seconds)

    def add_unknown(self, kind: str, code: str) -> None:
        """Count a call of what is not there."""
        target = (kind, UNKNOWN, UNKNOWN)
        self._calls.labels(*target, code).inc()
        self._errors.labels(*target, code).inc()

    def _look_up(self, target: Target, outcome: str) -> _Ended:
        errors = None if outcome in FINE else self._errors.labels(*target, outcome)
        return _Ended(self._calls.labels(*target, outcome), errors, self._duration.labels(*target))


def target_of(call: Call) -> Target:
    """A resource by its template: its URIs are without number."""
    name = call.target.item.uri if call.kind == "resource" else call.name
    return call.kind, call.owner, name

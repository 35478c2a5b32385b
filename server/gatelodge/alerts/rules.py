"""When an alert fires and when it is over. There is a gap between the two, so that it does not do both in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .window import Totals

FEWEST = 10
"""Calls below which a part of them says nothing."""
SLOW_PART = 5.0
"""Percent of calls: when as many are slow, the 95th percentile of their durations is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """`error_rate` is in percent, `response_time` in milliseconds; 0 turns an alert off."""

    errors: float = 10
    error_rate: float = 5.0
    response_time: float = 5000.0


@dataclass(frozen=True, slots=True)
class Rule:
    """`value` is compared with `limit`, which is 0 where the alert is off; `say` puts both in words."""

    name: str
    value: Callable[[Totals], float]
    limit: Callable[[Thresholds], float]
    say: Callable[[Totals, Thresholds], str]

    def fires(self, firing: bool, totals: Totals, thresholds: Thresholds) -> bool:
        """Whether it fires now, given whether it did before."""
        return fires(firing, self.value(totals), self.limit(thresholds))


def fires(firing: bool, value: float, limit: float) -> bool:
    """From the limit on; and once it fires, until the value is below half of that."""
    return limit > 0 and value >= (limit / 2 if firing else limit)


def part(some: int, calls: int) -> float:
    """Percent; of too few calls it is nothing."""
    return 100 * some / calls if calls >= FEWEST else 0.0


RULES = (
    Rule(
        "errors",
        lambda totals: totals.faults,
        lambda thresholds: thresholds.errors,
        lambda totals, thresholds: f"{totals.faults} calls failed (threshold {thresholds.errors:g})",
    ),
    Rule(
        "error_rate",
        lambda totals: part(totals.faults, totals.calls),
        lambda thresholds: thresholds.error_rate,
        lambda totals, thresholds: (
            f"{part(totals.faults, totals.calls):.1f} % of {totals.calls} calls failed"
            f" (threshold {thresholds.error_rate:g} %)"
        ),
    ),
    Rule(
        "response_time",
        lambda totals: part(totals.slow, totals.calls),
        lambda thresholds: SLOW_PART if thresholds.response_time else 0.0,
        lambda totals, thresholds: (
            f"{part(totals.slow, totals.calls):.1f} % of {totals.calls} calls took {thresholds.response_time:g} ms"
            f" or longer (threshold {SLOW_PART:g} %)"
        ),
    ),
)

"""When alerts fire and clear, over any course of calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatelodge.alerts.rules import FEWEST, RULES, Thresholds, fires, part
from gatelodge.alerts.window import SLOTS, Totals, Window

VALUES = st.lists(st.floats(0, 200, allow_nan=False), max_size=60)
CALLS = st.lists(st.tuples(st.floats(0, 3, allow_nan=False), st.booleans(), st.booleans()), max_size=200)


@given(values=VALUES, limit=st.floats(0.5, 100, allow_nan=False))
def test_it_fires_once_and_clears_once(values: list[float], limit: float) -> None:
    """It begins only at a value of the limit or more, ends only below half of it, and between the two nothing changes."""
    firing = False
    for value in values:
        before, firing = firing, fires(firing, value, limit)
        assert firing == (value >= limit or (before and value >= limit / 2))


@given(values=VALUES)
def test_a_limit_of_nothing_never_fires(values: list[float]) -> None:
    """And ends what fired before."""
    assert not any(fires(firing, value, 0) for value in values for firing in (True, False))


@given(calls=CALLS, seconds=st.floats(1, 300, allow_nan=False), rest=st.floats(0, 400, allow_nan=False))
def test_the_window_counts_what_a_list_would(
    calls: list[tuple[float, bool, bool]], seconds: float, rest: float
) -> None:
    """Every call of the last slots, and none before."""
    window, now, heard = Window(seconds, 0.0), 0.0, []
    for pause, fault, slow in calls:
        now += pause * seconds / 10
        window.add(now, fault=fault, slow=slow)
        heard.append((int(now / window.width), fault, slow))
    now += rest
    recent = [item for item in heard if item[0] > int(now / window.width) - SLOTS]
    faults, slow_ones = sum(fault for _, fault, _ in recent), sum(slow for _, _, slow in recent)
    assert window.totals(now) == Totals(len(recent), faults, slow_ones)


@given(calls=st.integers(0, 500), faults=st.integers(0, 500), slow=st.integers(0, 500))
def test_each_rule_looks_at_its_own_number(calls: int, faults: int, slow: int) -> None:
    """Ten errors; five percent of errors; five percent of slow calls, which is a slow 95th percentile."""
    totals = Totals(calls, min(faults, calls), min(slow, calls))
    firing = {rule.name for rule in RULES if rule.fires(False, totals, Thresholds())}
    enough = calls >= FEWEST
    expected = {"errors"} if totals.faults >= 10 else set()
    expected |= {"error_rate"} if enough and totals.faults / calls >= 0.05 else set()
    expected |= {"response_time"} if enough and totals.slow / calls >= 0.05 else set()
    assert firing == expected
    off = Thresholds(errors=0, error_rate=0, response_time=0)
    assert not any(rule.fires(True, totals, off) for rule in RULES)


def test_a_part_of_few_calls_is_nothing() -> None:
    """One error of one call is no rate."""
    assert part(1, FEWEST - 1) == 0
    assert part(1, FEWEST) == 100 / FEWEST

"""What a report says, and how often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatelodge.error_reports.report import MOST_CAUSES, MOST_FRAMES, Report, Subject
from gatelodge.error_reports.sentry import event_of
from gatelodge.error_reports.sieve import MINUTE, MOST, Sieve

CANARY = "canary-4711"
SUBJECT = Subject(kind="tool", name="desk.do", plugin="desk", door="http", request_id="r1")


def fail(argument: str, depth: int = 0) -> None:
    if depth:
        fail(argument, depth - 1)
    try:
        {}[argument]
    except KeyError as error:
        raise ValueError(f"no {argument}") from error


def report_of(depth: int = 0) -> Report:
    try:
        fail(CANARY, depth)
    except ValueError as error:
        return Report.of(SUBJECT, error)
    raise AssertionError


def test_a_report_tells_where_and_not_with_what() -> None:
    """Types, files, lines and functions of the exception and its cause; no message, no variable, no folder of ours."""
    report = report_of()
    assert [item.type for item in report.raised] == ["ValueError", "KeyError"]
    assert report.raised[0].frames[-1].function == "fail"
    assert report.raised[0].frames[-1].code.startswith("raise ValueError")
    for said in (report.message(version="1", replica="h:1").body().decode(), repr(event_of(report))):
        assert CANARY not in said
        assert __file__ not in said
        assert "r1" in said


def test_a_deep_traceback_is_cut_at_its_outer_end() -> None:
    """The innermost lines are what matters."""
    report = report_of(depth=3 * MOST_FRAMES)
    assert len(report.raised[0].frames) == MOST_FRAMES
    assert report.raised[0].frames[-1].code.startswith("raise ValueError")


def test_a_circle_of_causes_ends() -> None:
    """However exceptions refer to each other."""
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one
    assert len(Report.of(SUBJECT, one).raised) == MOST_CAUSES


def test_sentry_reads_causes_first() -> None:
    """Its list ends with the exception that was seen."""
    values = event_of(report_of())["exception"]["values"]
    assert [value["type"] for value in values] == ["KeyError", "ValueError"]


@given(st.lists(st.tuples(st.floats(0, 30, allow_nan=False), st.integers(0, 2 * MOST)), max_size=200))
def test_each_failure_is_told_of_once_a_minute(failures: list[tuple[float, int]]) -> None:
    """And of no more than a few different ones; none is told of for having been left out a minute ago."""
    clock = [0.0]
    sieve = Sieve(lambda: clock[0])
    began, told = 0.0, set[int]()
    for pause, place in failures:
        clock[0] += pause
        if clock[0] - began >= MINUTE:
            began, told = clock[0], set()
        expected = place not in told and len(told) < MOST
        assert sieve.admits(place) == expected
        if expected:
            told.add(place)


def test_how_many_were_left_out_is_told_with_the_next() -> None:
    """A storm is one report a minute, with its size."""
    clock = [0.0]
    sieve = Sieve(lambda: clock[0])
    assert [sieve.admits("a") for _ in range(1000)].count(True) == 1
    clock[0] = MINUTE
    assert sieve.admits("a")
    assert sieve.left_out("a") == 999

"""JQL: its grammar there and back, and what it finds against the same condition in Python."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelodge_jira.sandbox.bodies import plain
from gatelodge_jira.sandbox.dates import moment
from gatelodge_jira.sandbox.jql import (
    Clause,
    Compound,
    Condition,
    Empty,
    Function,
    JQLError,
    Many,
    Not,
    Order,
    Query,
    Value,
    parse,
    quoted,
    written,
)
from gatelodge_jira.sandbox.query import Search
from gatelodge_jira.sandbox.site import Site
from gatelodge_jira.sandbox.story import SEED, Story, StoryIssue, generate

TODAY = datetime(2026, 11, 25, tzinfo=UTC)
NOW = TODAY + timedelta(hours=9)
"""A Wednesday morning."""
STORY = generate(SEED, TODAY.date())
SITE = Site(STORY, now=lambda: NOW)
ADA = Search(SITE, "ada")


def keys(jql: str) -> list[str]:
    return [issue.key for issue in ADA.find(parse(jql))]


def told(condition: Callable[[StoryIssue], bool]) -> set[str]:
    return {issue.key for issue in STORY.issues if condition(issue)}


# --- the grammar ---


def text(query: Query) -> str:
    """A query's JQL, with all its brackets."""
    where = "" if query.where is None else condition_text(query.where)
    ways = {None: "", True: " DESC", False: " asc"}
    orders = ", ".join(quoted(order.field) + ways[order.descending] for order in query.order)
    return f"{where} ORDER BY {orders}" if orders else where


def condition_text(condition: Condition) -> str:
    match condition:
        case Clause(field, operator, operand):
            return f"{quoted(field)} {operator} {written(operand)}"
        case Not(inner):
            return f"NOT ({condition_text(inner)})"
        case Compound(joined, clauses):
            return f" {joined.upper()} ".join(f"({condition_text(clause)})" for clause in clauses)


names = st.text(min_size=1, max_size=12).filter(lambda name: "\x00" not in name)
singles = st.one_of(
    st.builds(Value, names), st.builds(Function, names, st.lists(names, max_size=2).map(tuple)), st.just(Empty())
)
one_operator = st.sampled_from(["=", "!=", "<", ">", "<=", ">=", "~", "!~", "is", "is not"])
clauses = st.one_of(
    st.builds(Clause, names, one_operator, singles),
    st.builds(
        Clause, names, st.sampled_from(["in", "not in"]), st.lists(singles, min_size=1, max_size=3).map(tuple).map(Many)
    ),
)
conditions = st.recursive(
    clauses,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Compound, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
orders = st.lists(st.builds(Order, names, st.sampled_from([None, True, False])), max_size=3).map(tuple)


@settings(max_examples=60, deadline=None)
@given(st.builds(Query, st.none() | conditions, orders))
def test_a_query_is_read_as_it_was_written(query: Query) -> None:
    """Any tree, written as JQL, gives the same tree again."""
    assert parse(text(query)) == query


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab \"'()=!<>~,&|\\-1[]", max_size=25) | st.text(max_size=25))
def test_any_text_is_read_or_refused(jql: str) -> None:
    """No text does anything but give a tree or a `JQLError`; nor does searching for the tree."""
    with suppress(JQLError):
        ADA.test(parse(jql).where)


@pytest.mark.parametrize(
    ("jql", "message"),
    [
        ("status", "Expecting operator but reached the end of the query."),
        ("status Done", "Expecting operator but got 'Done'."),
        ("status =", "Expecting either a value, list or function but reached the end"),
        ("status = Done priority = High", "Expecting either 'OR' or 'AND' but got 'priority'. (line 1, character 15)"),
        ("status in (Done", "Expecting ')' but reached the end"),
        ("(status = Done", "Expecting ')'"),
        ("status =\n AND", "got 'AND'. (line 2, character 2)"),
        ('summary ~ "x', "quoted string has not been completed"),
        ("order created", "Expecting 'BY' but got 'created'"),
        ("status was Done", "Expecting operator but got 'was'"),
        ("(" * 500 + "a = b", "Too many brackets"),
        ("NOT " * 500 + "a = b", "Too many brackets"),
        ("colour = red", "Field 'colour' does not exist"),
        ("status = Nope", "The value 'Nope' does not exist for the field 'status'."),
        ("status ~ Done", "The operator '~' is not supported by the 'status' field."),
        ("summary = x", "The operator '=' is not supported by the 'summary' field."),
        ("status in Done", "Operator 'in' does not support the non-list value for field 'status'."),
        ("status is Done", "The operator 'is' takes only EMPTY"),
        ("due = currentUser()", "Unable to find JQL function 'currentUser()'."),
        ("due < EMPTY", "does not take EMPTY"),
        ("priority < EMPTY", "does not take EMPTY"),
        ("created > yesterday", "Date value 'yesterday' for field 'created' is invalid."),
        ("created > -99999999w", "Date value '-99999999w' for field 'created' is invalid."),
        ("created > startOfDay(soon)", "is not a duration"),
        ("created > startOfYear(-99999)", "out of range"),
        ("sprint in openSprints()", "Field 'sprint' does not exist"),
        ("assignee = openSprints()", "Unable to find JQL function 'openSprints()'."),
        ("cf[10016] > many", "Value 'many' is not a number"),
        ("key = PAY-99999", "An issue with key 'PAY-99999' does not exist for field 'key'."),
        ("status = Done order by colour", "Field 'colour' does not exist"),
    ],
)
def test_bad_query_says_what_is_wrong(jql: str, message: str) -> None:
    """A query that cannot be read or answered is refused in words that name the cause."""
    with pytest.raises(JQLError) as refused:
        keys(jql)
    assert message in str(refused.value)


# --- what is found ---

ADAS: Callable[[StoryIssue], bool] = lambda issue: issue.assignee == "ada"  # noqa: E731 - it stands in a table
DAY = timedelta(days=1)
FOUND: list[tuple[str, Callable[[StoryIssue], bool]]] = [
    ("project = PAY", lambda it: it.project == "PAY"),
    ("project in (pay, 'Web shop')", lambda it: it.project in ("PAY", "WEB")),
    ("project not in (10002)", lambda it: it.project != "OPS"),
    ("key in (PAY-1, web-2)", lambda it: it.key in ("PAY-1", "WEB-2")),
    ("key >= OPS-690 and project = OPS", lambda it: it.project == "OPS" and int(it.key[4:]) >= 690),
    ("status = 'in progress'", lambda it: it.status == "In Progress"),
    ("statusCategory != Done", lambda it: it.resolved is None),
    ("statusCategory = 'In Progress'", lambda it: it.category == "indeterminate"),
    ("resolution is EMPTY", lambda it: it.resolution is None),
    ("resolution = Unresolved", lambda it: it.resolution is None),
    ("resolution = Duplicate", lambda it: it.resolution == "Duplicate"),
    ("assignee = currentUser()", ADAS),
    ("assignee in (currentUser(), \"Ben O'Hara\", EMPTY)", lambda it: it.assignee in ("ada", "ben", None)),
    ("assignee != ada", lambda it: it.assignee not in ("ada", None)),
    ("NOT assignee = ada", lambda it: it.assignee not in ("ada", None)),
    ("NOT (assignee = ada OR project = PAY)", lambda it: it.assignee not in ("ada", None) and it.project != "PAY"),
    ("reporter = 'lena@example.com'", lambda it: it.reporter == "lena"),
    ("priority >= High", lambda it: it.priority in ("High", "Highest")),
    ("type = Bug && priority = Low", lambda it: (it.issue_type, it.priority) == ("Bug", "Low")),
    ("issuetype not in (Bug, Epic)", lambda it: it.issue_type not in ("Bug", "Epic")),
    ("labels in (security, compliance)", lambda it: bool({"security", "compliance"} & set(it.labels))),
    ("labels != security", lambda it: bool(it.labels) and "security" not in it.labels),
    ("labels is not EMPTY", lambda it: bool(it.labels)),
    ("summary ~ refund", lambda it: "refund" in it.summary.lower()),
    ("summary ~ 'refunds under'", lambda it: {"refund", "under"} <= set(it.summary.lower().split())),
    ("summary ~ 'refu*'", lambda it: " refu" in f" {it.summary.lower()}"),
    ('summary ~ "\\"under load\\""', lambda it: "under load" in it.summary),
    ("summary !~ refund", lambda it: "refund" not in it.summary.lower()),
    ("text ~ 'supplier'", lambda it: any("supplier" in plain(said.body) for said in it.remarks)),
    ("'Story Points' >= 5", lambda it: (it.story_points or 0) >= 5),
    ("cf[10016] = 3", lambda it: it.story_points == 3),
    ("customfield_10016 is empty", lambda it: it.story_points is None),
    ("Team = Ledger", lambda it: it.team == "Ledger"),
    ("parent = PAY-1", lambda it: it.parent == "PAY-1"),
    ("created >= -7d", lambda it: it.created >= NOW - 7 * DAY),
    ("created < '-2w 3d'", lambda it: it.created < NOW - 17 * DAY),
    ("created >= startOfDay(-1)", lambda it: it.created >= TODAY - DAY),
    ("created >= startOfWeek() and created <= now()", lambda it: it.created >= TODAY - 2 * DAY),
    ("created >= startOfMonth(-1) and created < startOfMonth()", lambda it: it.created.month == 10),
    ("updated <= endOfYear(-1)", lambda it: False),
    ("resolved >= 2026-11-01 and resolved < '2026/11/15 12:30'",
     lambda it: it.resolved is not None
     and datetime(2026, 11, 1, tzinfo=UTC) <= it.resolved < datetime(2026, 11, 15, 12, 30, tzinfo=UTC)),
    ("due = 2026-11-27", lambda it: it.due is not None and it.due.isoformat() == "2026-11-27"),
    ("due < now()", lambda it: it.due is not None and it.due <= TODAY.date()),
    ("", lambda it: True),
]  # fmt: skip


@pytest.mark.parametrize(("jql", "condition"), FOUND, ids=[jql for jql, _ in FOUND])
def test_query_finds_what_it_says(jql: str, condition: Callable[[StoryIssue], bool]) -> None:
    """A query finds just the issues that meet the same condition in Python."""
    found = keys(jql)
    assert len(found) == len(set(found))
    assert set(found) == told(condition)


def test_order() -> None:
    """Several fields, each its own way; what has no value comes last; ties go by key."""
    by_key = {issue.key: issue for issue in STORY.issues}
    found = [by_key[key] for key in keys("project = PAY order by priority desc, due, key desc")]
    ranks = {"Highest": 1, "High": 2, "Medium": 3, "Low": 4, "Lowest": 5}
    wanted = sorted(
        found, key=lambda it: (ranks[it.priority], it.due is None, it.due or TODAY.date(), -int(it.key[4:]))
    )
    assert found == wanted


simple = st.sampled_from([jql for jql, _ in FOUND if jql and " order " not in jql])
known = dict(FOUND)


@settings(max_examples=30, deadline=None)
@given(simple, simple, st.sampled_from(["AND", "OR"]))
def test_joined_queries(a: str, b: str, joined: str) -> None:
    """AND finds what both find, OR what either finds, whatever stands in their brackets."""
    both = told(known[a]) & told(known[b]) if joined == "AND" else told(known[a]) | told(known[b])
    assert set(keys(f"({a}) {joined} ({b})")) == both


@settings(max_examples=30, deadline=None)
@given(simple)
def test_not_finds_the_rest_of_what_has_a_value(jql: str) -> None:
    """NOT never finds what the query finds, and NOT NOT finds it again."""
    assert not set(keys(f"NOT ({jql})")) & set(keys(jql))
    assert keys(f"NOT (NOT ({jql}))") == keys(jql)


@pytest.mark.parametrize(
    ("written_as", "means"),
    [
        ("startOfWeek(-1w)", datetime(2026, 11, 16, tzinfo=UTC)),
        ("endOfMonth()", datetime(2026, 11, 30, 23, 59, 59, 999000, UTC)),
        ("startOfMonth(+2)", datetime(2027, 1, 1, tzinfo=UTC)),
        ("endOfDay(-1d)", datetime(2026, 11, 24, 23, 59, 59, 999000, UTC)),
        ("startOfYear()", datetime(2026, 1, 1, tzinfo=UTC)),
        ("now()", NOW),
        ("4h", NOW + timedelta(hours=4)),
        ("'-1d 30m'", NOW - timedelta(days=1, minutes=30)),
    ],
)
def test_relative_dates(written_as: str, means: datetime) -> None:
    """Periods count from now, functions from the bounds of days, weeks (from Monday), months and years."""
    where = parse(f"created > {written_as}").where
    assert isinstance(where, Clause)
    assert moment("created", where.operand, NOW) == means


def test_story_is_told() -> None:
    """The site of these tests holds the whole story."""
    assert isinstance(STORY, Story)
    assert set(SITE.issues) == told(lambda it: True)

"""Searches: the Cloud's by token, the Data Center's by offset, counting, and what a query says."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

from . import view
from .ask import Ask, Reply, whole, words
from .jql import (
    Clause,
    Compound,
    Condition,
    Empty,
    Function,
    JQLError,
    Many,
    Not,
    Operand,
    Query,
    Value,
    parse,
    quoted,
    written,
)
from .query import Search
from .refusal import Refusal
from .site import Issue
from .wire import JSON

UNBOUNDED = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
GONE = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. "
    "A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)
MOST_IDS, MOST_ISSUES, MOST_OLD, MOST_RECONCILED = 5000, 100, 1000, 50
SMALL = frozenset({"id", "key"})
"""Fields that make no page shorter."""


def search(ask: Ask) -> Reply:
    """`search/jql`: bounded queries only, `id` alone unless fields are named, pages by token and no total."""
    asked = ask.asked
    jql = _text(asked)
    query = _bounded(jql)
    fields = words(asked.get("fields")) or ["id"]
    most = _page_size(asked, small=SMALL.issuperset(fields))
    found = _indexed(ask, _find(ask, query), asked.get("reconcileIssues"))
    start = _position(asked.get("nextPageToken"), jql)
    page: JSON = {"issues": _shown(ask, found[start : start + most], fields), "isLast": start + most >= len(found)}
    if not page["isLast"]:
        page["nextPageToken"] = _token(start + most, jql)
    return Reply(200, page | _described(fields, words(asked.get("expand"))))


def count(ask: Ask) -> Reply:
    return Reply(200, {"count": len(_find(ask, _bounded(_text(ask.given))))})


def old_search(ask: Ask) -> Reply:
    """`search`: any query, pages by offset, with the total. The Cloud has it no more."""
    if ask.face.cloud:
        raise Refusal(410, GONE)
    asked = ask.asked
    start = whole("startAt", asked.get("startAt", 0))
    most = min(whole("maxResults", asked.get("maxResults", 50)), MOST_OLD)
    found = _find(ask, _parsed(_text(asked)))
    fields = words(asked.get("fields")) or ["*navigable"]
    cut = found[start : start + most]
    shown = _shown(ask, cut, fields)
    if "changelog" in words(asked.get("expand")):
        for issue, told in zip(cut, shown, strict=True):
            told["changelog"] = view.changelog(ask.face, issue)
    page = {"expand": "schema,names", "startAt": start, "maxResults": most, "total": len(found), "issues": shown}
    return Reply(200, page | _described(fields, words(asked.get("expand"))))


def explain(ask: Ask) -> Reply:
    """`jql/parse`: the tree of each query, or what is wrong with it."""
    if ask.query.get("validation") not in ("strict", "warn", "none"):
        raise Refusal(400, "The 'validation' parameter must be one of 'strict', 'warn' and 'none'.")
    queries = words(ask.given.get("queries"))
    if not queries:
        raise Refusal(400, "At least one query is expected.")
    return Reply(200, {"queries": [_explained(ask, jql) for jql in queries]})


def _text(asked: JSON) -> str:
    jql = asked.get("jql", "")
    if jql is not None and not isinstance(jql, str):
        raise Refusal(400, "The 'jql' must be a string.")
    return jql or ""


def _parsed(jql: str) -> Query:
    try:
        return parse(jql)
    except JQLError as error:
        raise Refusal(400, str(error)) from None


def _bounded(jql: str) -> Query:
    query = _parsed(jql)
    if query.where is None:
        raise Refusal(400, UNBOUNDED)
    return query


def _find(ask: Ask, query: Query) -> list[Issue]:
    try:
        return Search(ask.site, ask.user).find(query)
    except JQLError as error:
        raise Refusal(400, str(error)) from None


def _indexed(ask: Ask, found: list[Issue], reconcile: Any) -> list[Issue]:
    """Without what the index does not have yet, but for the ids that the request asks to be looked up."""
    if not isinstance(reconcile, list | None) or len(reconcile or ()) > MOST_RECONCILED:
        raise Refusal(400, f"The 'reconcileIssues' must be a list of at most {MOST_RECONCILED} ids.")
    late = (ask.site.unindexed or set()) - set(reconcile or ())
    return [issue for issue in found if issue.id not in late]


def _page_size(asked: JSON, *, small: bool) -> int:
    most = whole("maxResults", asked.get("maxResults", 50))
    if not 1 <= most <= MOST_IDS:
        raise Refusal(400, f"The 'maxResults' must be between 1 and {MOST_IDS}.")
    return most if small else min(most, MOST_ISSUES)


def _shown(ask: Ask, issues: list[Issue], fields: list[str]) -> list[JSON]:
    if fields == ["id"]:
        return [{"id": str(issue.id)} for issue in issues]
    ids = view.chosen(fields)
    return [view.issue(ask.face, ask.site, issue, ids) for issue in issues]


def _described(fields: list[str], expand: list[str]) -> JSON:
    ids = view.chosen(fields)
    named = {"names": view.names(ids)} if "names" in expand else {}
    return {**named, "schema": view.schemas(ids)} if "schema" in expand else named


def _token(position: int, jql: str) -> str:
    return urlsafe_b64encode(f"{position}:{_mark(jql)}".encode()).decode()


def _position(token: Any, jql: str) -> int:
    """Where a page begins. A token is good for the query that it came of."""
    if token is None or token == "":
        return 0
    try:
        position, _, mark = urlsafe_b64decode(str(token)).decode().partition(":")
        if mark == _mark(jql):
            return int(position)
    except ValueError:
        pass
    raise Refusal(400, "The provided next page token is invalid or expired!")


def _mark(jql: str) -> str:
    return sha256(jql.encode()).hexdigest()[:12]


def _explained(ask: Ask, jql: str) -> JSON:
    try:
        query = parse(jql)
        Search(ask.site, ask.user).test(query.where)
    except JQLError as error:
        return {"query": jql, "errors": [str(error)]}
    structure: JSON = {} if query.where is None else {"where": _condition(query.where)}
    if query.order:
        orders = [
            {"field": _field(order.field), "direction": "desc" if order.descending else "asc"} for order in query.order
        ]
        structure["orderBy"] = {"fields": orders}
    return {"query": jql, "structure": structure}


def _condition(condition: Condition) -> JSON:
    match condition:
        case Compound(joined, clauses):
            return {"operator": joined, "clauses": [_condition(clause) for clause in clauses]}
        case Not(inner):
            return {"operator": "not", "clauses": [_condition(inner)]}
        case Clause(field, operator, operand):
            return {"field": _field(field), "operator": operator, "operand": _operand(operand)}


def _field(name: str) -> JSON:
    return {"name": name, "encodedName": quoted(name)}


def _operand(operand: Operand) -> JSON:
    match operand:
        case Many(values):
            return {"values": [_operand(value) for value in values], "encodedOperand": written(operand)}
        case Function(name, arguments):
            return {"function": name, "arguments": list(arguments), "encodedOperand": written(operand)}
        case Empty():
            return {"keyword": "empty"}
        case Value(text):
            return {"value": text, "encodedValue": quoted(text)}

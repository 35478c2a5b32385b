"""Which issues a JQL query means, and in which order."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .columns import Column, column
from .dates import moment
from .jql import Clause, Compound, Condition, Empty, Function, JQLError, Many, Not, Operand, Order, Query, Value
from .refusal import Refusal
from .site import Issue, Site

Test = Callable[[Issue], bool]
NEGATIONS = {"=": "!=", "in": "not in", "is": "is not", "~": "!~", "<": ">=", ">": "<="}
NEGATIONS |= {negative: positive for positive, negative in NEGATIONS.items()}
COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
WORD = re.compile(r"\w+\*?")
NEWEST = (Order("created", True), Order("key", True))
"""The order of a query that asks for none."""


@dataclass(frozen=True, slots=True)
class Search:
    """Searches of one site as one user, whose `name` is what `currentUser()` means."""

    site: Site
    user: str

    def find(self, query: Query) -> list[Issue]:
        """The issues in order, ties broken by key. Raises `JQLError`."""
        test = self.test(query.where)
        found = [issue for issue in self.site.issues.values() if test(issue)]
        for order in reversed((*(query.order or NEWEST), Order("key", False))):
            self._sort(found, order)
        return found

    def test(self, condition: Condition | None) -> Test:
        """Whether an issue meets a condition. NOT goes down to the clauses, as in Jira: it finds nothing EMPTY."""
        match condition:
            case None:
                return lambda issue: True
            case Not(inner):
                return self.test(_negated(inner))
            case Compound(joined, clauses):
                tests = [self.test(clause) for clause in clauses]
                together = all if joined == "and" else any
                return lambda issue: together(test(issue) for test in tests)
            case Clause():
                return self._clause(condition)

    def _sort(self, issues: list[Issue], order: Order) -> None:
        """Issues without a value come last, whichever way round."""
        by = _known(order.field)
        ranked = [issue for issue in issues if by.values(issue)]
        empty = [issue for issue in issues if not by.values(issue)]
        ranked.sort(key=lambda issue: by.rank(by.values(issue)[0]), reverse=bool(order.descending))
        issues[:] = ranked + empty

    def _clause(self, clause: Clause) -> Test:
        by = _known(clause.field)
        if clause.operator not in by.operators:
            raise JQLError(f"The operator '{clause.operator}' is not supported by the '{clause.field}' field.")
        match clause.operator:
            case "is" | "is not":
                return self._is(by, clause)
            case "~" | "!~":
                return self._contains(by, clause)
            case "<" | "<=" | ">" | ">=":
                return self._compares(by, clause)
            case _:
                return self._equals(by, clause)

    def _is(self, by: Column, clause: Clause) -> Test:
        if clause.operand != Empty():
            raise JQLError(f"The operator '{clause.operator}' takes only EMPTY, for the field '{clause.field}'.")
        return _empty(by, clause.operator == "is")

    def _contains(self, by: Column, clause: Clause) -> Test:
        if not isinstance(clause.operand, Value):
            raise JQLError(f"The operator '{clause.operator}' takes only text, for the field '{clause.field}'.")
        finds = _finder(clause.field, clause.operand.text)
        if clause.operator == "~":
            return lambda issue: any(map(finds, by.values(issue)))
        return lambda issue: bool(by.values(issue)) and not any(map(finds, by.values(issue)))

    def _compares(self, by: Column, clause: Clause) -> Test:
        (wanted,) = self._wanted(by, clause, clause.operand)
        if wanted is None:
            raise JQLError(f"The operator '{clause.operator}' does not take EMPTY, for the field '{clause.field}'.")
        compare, limit = COMPARISONS[clause.operator], by.rank(wanted)
        return lambda issue: any(compare(by.rank(value), limit) for value in by.values(issue))

    def _equals(self, by: Column, clause: Clause) -> Test:
        many = clause.operator in ("in", "not in")
        if isinstance(clause.operand, Function) and clause.operand.name.lower() == "linkedissues" and many:
            wanted = self._linked(clause)
        else:
            wanted = self._listed(by, clause, many)
        if clause.operator in ("=", "in"):
            return lambda issue: any(value in wanted for value in by.values(issue) or (None,))
        return lambda issue: bool(by.values(issue)) and not any(value in wanted for value in by.values(issue))

    def _listed(self, by: Column, clause: Clause, many: bool) -> set[Any]:
        if many and not isinstance(clause.operand, Many):
            raise JQLError(
                f"Operator '{clause.operator}' does not support the non-list value for field '{clause.field}'."
            )
        operands = clause.operand.values if isinstance(clause.operand, Many) else (clause.operand,)
        return {value for operand in operands for value in self._wanted(by, clause, operand)}

    def _linked(self, clause: Clause) -> set[Any]:
        """`issue in linkedIssues(KEY)`, and of one type or phrase with a second argument."""
        assert isinstance(clause.operand, Function)
        if _known(clause.field).kind != "key" or not 1 <= len(clause.operand.arguments) <= 2:
            raise JQLError(f"The function 'linkedIssues' does not fit the field '{clause.field}'.")
        key, *phrase = clause.operand.arguments
        issue = self._issue(clause.field, key)
        links = [link for link in self.site.links_of(issue) if not phrase or phrase[0] in _phrases(link, issue)]
        return {link.target if link.source == issue.key else link.source for link in links}

    def _wanted(self, by: Column, clause: Clause, operand: Operand) -> tuple[Any, ...]:
        """The value that an operand means; `None` is EMPTY."""
        if operand == Empty():
            return (None,)
        if by.kind == "date":
            return (moment(clause.field, operand, self.site.now()),)
        if isinstance(operand, Function):
            if by.kind == "user" and operand == Function(operand.name) and operand.name.lower() == "currentuser":
                return (self.user,)
            raise JQLError(f"Unable to find JQL function '{operand.name}({', '.join(operand.arguments)})'.")
        assert isinstance(operand, Value)
        return (self._value(by, clause.field, operand.text),)

    def _value(self, by: Column, field: str, text: str) -> Any:
        if by.kind == "key":
            return self._issue(field, text).key
        if by.kind == "number":
            return _number(field, text)
        if by.names is None:
            return text
        if text.lower() not in by.names:
            raise JQLError(f"The value '{text}' does not exist for the field '{field}'.")
        return by.names[text.lower()]

    def _issue(self, field: str, text: str) -> Issue:
        try:
            return self.site.find(text)
        except Refusal:
            raise JQLError(f"An issue with key '{text}' does not exist for field '{field}'.") from None


def _known(name: str) -> Column:
    found = column(name)
    if found is None:
        raise JQLError(f"Field '{name}' does not exist or you do not have permission to view it.")
    return found


def _negated(condition: Condition) -> Condition:
    match condition:
        case Clause(field, operator_, operand):
            return Clause(field, NEGATIONS[operator_], operand)
        case Not(inner):
            return inner
        case Compound(joined, clauses):
            return Compound("or" if joined == "and" else "and", tuple(map(_negated, clauses)))


def _empty(by: Column, wanted: bool) -> Test:
    return lambda issue: (not by.values(issue)) is wanted


def _number(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise JQLError(f"Value '{text}' is not a number, for the field '{field}'.") from None


def _phrases(link: Any, issue: Issue) -> tuple[str, str]:
    return link.type.name, link.type.outward if link.source == issue.key else link.type.inward


def _finder(field: str, text: str) -> Callable[[str], bool]:
    """Whether a text has all the words, `*` ending one that is only begun; or the phrase, when it is in quotes."""
    if len(text) > 2 and text[0] == text[-1] == '"':
        phrase = text[1:-1].lower()
        return lambda searched: phrase in searched.lower()
    words = [_stem(word) for word in WORD.findall(text.lower())]
    if not words:
        raise JQLError(f"The field '{field}' does not take an empty search.")
    return lambda searched: _has(words, {_stem(word) for word in WORD.findall(searched.lower())})


def _has(words: list[str], present: set[str]) -> bool:
    return all(
        word in present or (word.endswith("*") and any(other.startswith(word[:-1]) for other in present))
        for word in words
    )


def _stem(word: str) -> str:
    """So that a plural finds its singular; Jira's own stemming goes further."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word

"""JQL, from text to a tree and back; what the names in it mean is not known here.

Grammar: https://support.atlassian.com/jira-service-management-cloud/docs/use-advanced-search-with-jira-query-language-jql/
`WAS` and `CHANGED` are not of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

OPERATORS = "'=', '!=', '<', '>', '<=', '>=', '~', '!~', 'IN', 'NOT IN', 'IS' and 'IS NOT'"
KEYWORDS = frozenset({"and", "or", "not", "in", "is", "empty", "null", "order", "by", "asc", "desc"})
TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<symbol><=|>=|!=|!~|&&|\|\||[=<>~!(),])
      | (?P<word>(?:[^\s"'=<>~!(),&|\\]|\\.)+)""",
    re.VERBOSE | re.DOTALL,
)
PLAIN = re.compile(r"[\w.@:/+-]+(\[\d+\])?")
ALIASES = {"&&": "and", "||": "or", "!": "not"}
NESTING = 100
"""Brackets and NOTs within each other; more is refused before Python's stack is."""


class JQLError(Exception):
    """A query that cannot be read or answered; the message is for its author."""


@dataclass(frozen=True, slots=True)
class Value:
    """A word, a number or a string, without its quotes."""

    text: str


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Empty:
    """`EMPTY`, or its other name `NULL`."""


Single = Value | Function | Empty


@dataclass(frozen=True, slots=True)
class Many:
    """A list in brackets, never empty."""

    values: tuple[Single, ...]


Operand = Single | Many


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition. `operator` is one of `= != < > <= >= ~ !~ in`, `not in`, `is`, `is not`."""

    field: str
    operator: str
    operand: Operand


@dataclass(frozen=True, slots=True)
class Not:
    clause: Condition


@dataclass(frozen=True, slots=True)
class Compound:
    """Two or more conditions joined by `operator`, which is `and` or `or`."""

    operator: str
    clauses: tuple[Condition, ...]


Condition = Clause | Not | Compound


@dataclass(frozen=True, slots=True)
class Order:
    """`descending` is `None` where the query leaves it to the field."""

    field: str
    descending: bool | None = None


@dataclass(frozen=True, slots=True)
class Query:
    where: Condition | None
    order: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is `word`, `string`, `symbol`, `keyword` or `end`; a keyword's `text` is in small letters."""

    kind: str
    text: str
    raw: str
    at: int


def parse(text: str) -> Query:
    """The tree of a query; the empty text is a query without a condition. Raises `JQLError`."""
    return _Parser(text).query()


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            what = (
                "quoted string has not been completed" if text[at] in "\"'" else f"character '{text[at]}' is reserved"
            )
            raise JQLError(f"Error in the JQL Query: The {what}. {_place(text, at)}")
        if match.lastgroup != "space":
            yield _token(match)
        at = match.end()
    yield Token("end", "", "", at)


def _token(match: re.Match[str]) -> Token:
    raw, kind = match.group(), str(match.lastgroup)
    if kind == "word" and raw.lower() in KEYWORDS:
        return Token("keyword", raw.lower(), raw, match.start())
    if raw in ALIASES:
        return Token("keyword", ALIASES[raw], raw, match.start())
    text = raw[1:-1] if kind == "string" else raw
    return Token(kind, re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL), raw, match.start())


def _place(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    return f"(line {line}, character {at - text.rfind(chr(10), 0, at)})"


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def query(self) -> Query:
        where = None if self._sees("order") or self._token.kind == "end" else self._any()
        order = tuple(self._order()) if self._takes("order") else ()
        if self._token.kind != "end":
            raise self._refusal("Expecting either 'OR' or 'AND'")
        return Query(where, order)

    def _any(self) -> Condition:
        return self._joined("or", self._all)

    def _all(self) -> Condition:
        return self._joined("and", self._one)

    def _joined(self, operator: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._takes(operator):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Compound(operator, tuple(parts))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > NESTING:
            raise self._refusal("Too many brackets: expecting a field name")
        condition = self._inner()
        self._depth -= 1
        return condition

    def _inner(self) -> Condition:
        if self._takes("not"):
            return Not(self._one())
        if self._takes("("):
            inner = self._any()
            self._expect(")")
            return inner
        return self._clause()

    def _clause(self) -> Clause:
        field = self._name("a field name")
        operator = self._operator()
        many = operator in ("in", "not in")
        return Clause(field, operator, self._many() if many else self._single())

    def _operator(self) -> str:
        token = self._token
        if token.kind == "symbol" and token.text in ("=", "!=", "<", ">", "<=", ">=", "~", "!~"):
            self._next += 1
            return token.text
        if self._takes("is"):
            return "is not" if self._takes("not") else "is"
        if self._takes("in"):
            return "in"
        if self._takes("not") and self._takes("in"):
            return "not in"
        raise self._refusal("Expecting operator", f" The valid operators are {OPERATORS}.")

    def _many(self) -> Operand:
        if not self._takes("("):
            return self._single()
        values = [self._single()]
        while self._takes(","):
            values.append(self._single())
        self._expect(")")
        return Many(tuple(values))

    def _single(self) -> Single:
        if self._takes("empty") or self._takes("null"):
            return Empty()
        text = self._name("either a value, list or function")
        if not self._takes("("):
            return Value(text)
        arguments: list[str] = []
        while not self._takes(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._name("an argument"))
        return Function(text, tuple(arguments))

    def _order(self) -> Iterator[Order]:
        self._expect("by")
        yield self._ordering()
        while self._takes(","):
            yield self._ordering()

    def _ordering(self) -> Order:
        field = self._name("a field name")
        if self._takes("desc"):
            return Order(field, True)
        return Order(field, False if self._takes("asc") else None)

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _sees(self, text: str) -> bool:
        return self._token.kind in ("keyword", "symbol") and self._token.text == text

    def _takes(self, text: str) -> bool:
        seen = self._sees(text)
        self._next += seen
        return seen

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise self._refusal(f"Expecting '{text.upper()}'")

    def _name(self, what: str) -> str:
        token = self._token
        if token.kind not in ("word", "string"):
            raise self._refusal(f"Expecting {what}")
        self._next += 1
        return token.text

    def _refusal(self, expecting: str, hint: str = "") -> JQLError:
        token = self._token
        got = f"got '{token.raw}'" if token.kind != "end" else "reached the end of the query"
        return JQLError(f"Error in the JQL Query: {expecting} but {got}.{hint} {_place(self._text, token.at)}")


def quoted(text: str) -> str:
    """A name or value as it must stand in a query."""
    if PLAIN.fullmatch(text) and text.lower() not in KEYWORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def written(operand: Operand) -> str:
    """An operand as it may stand in a query."""
    match operand:
        case Value(text):
            return quoted(text)
        case Function(name, arguments):
            return f"{quoted(name)}({', '.join(map(quoted, arguments))})"
        case Many(values):
            return f"({', '.join(map(written, values))})"
        case Empty():
            return "EMPTY"

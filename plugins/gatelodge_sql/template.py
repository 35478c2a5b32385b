"""A template: a `.sql` file with a typed header and exactly one SELECT, checked before anything runs.

Named parameters (`:project_key`) become `$1` placeholders cast to the header's type, so a value can never be part of
the statement. Every failure is a `StartupError` of the form `file:line: what is wrong`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import Schema, fields, validate
from sqlglot import exp, parse_one
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from gatelodge import StartupError

from .functions import ALLOWED, KEYWORDS, NAMING
from .header import NAME, HeaderError, Parameter, parse_header

PAGE = "limit"
"""A parameter of this name is the page size: the runner applies it, so that more rows than it are noticed."""
CURSOR = "cursor"
OWN_SOURCE = "gatelodge"
"""The name of the server's own database."""
WRITES = (exp.DML, exp.DDL, exp.Copy, exp.Command, exp.Into, exp.Lock)
MAX_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A checked template. `sql` has `$1` and on for `parameters` in that order, then LIMIT and OFFSET."""

    name: str
    title: str
    description: str
    source: str
    sql: str
    parameters: tuple[Parameter, ...]
    page: Parameter | None
    ordered: bool
    file: str
    first_line: int

    @property
    def tool(self) -> str:
        return f"sql.{self.name}"

    @property
    def digest(self) -> str:
        """Changes when the statement does, so that a cursor cannot outlive it."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def schema(self) -> type[Schema]:
        """The marshmallow schema of the tool's arguments: the header's parameters and the cursor."""
        cursor = fields.String(
            validate=validate.Length(max=100),
            metadata={
                "description": "To read on after a truncated result: the same arguments, and the cursor it gave."
            },
        )
        declared = [*self.parameters, self.page] if self.page else self.parameters
        return Schema.from_dict({**{item.name: item.field for item in declared}, CURSOR: cursor}, name=self.name)

    def example(self) -> dict[str, Any]:
        declared = [*self.parameters, self.page] if self.page else self.parameters
        return {item.name: item.example for item in declared if item.example is not None}

    def describe(self) -> str:
        """The description for a model, with an example call and what comes back."""
        return (
            f"{self.description}\n\nExample arguments: {json.dumps(self.example(), default=str)}\n\n"
            "Answers columns (name, type), rows (one object each), row_count, truncated, query_time_ms and cursor; "
            "when truncated is true, call again with the same arguments and the cursor for the rows after these."
        )

    def line_of(self, position: int) -> int:
        """The file's line of a 1-based character position in `sql`, as Postgres reports it."""
        return self.first_line + self.sql.count("\n", 0, position - 1) - 1

    def error(self, line: int, message: str) -> StartupError:
        return _error(self.file, line, message)


def load_templates(folder: Path) -> list[Template]:
    """Every `.sql` file of the folder, by name. Raises `StartupError`."""
    if not folder.is_dir():
        raise StartupError("template_invalid", f"{folder}: there is no such folder of templates")
    return [parse_template(path.stem, path.name, _read(path)) for path in sorted(folder.glob("*.sql"))]


def parse_template(name: str, file: str, text: str) -> Template:
    """A template out of a file's text; the tool is named by the file. Raises `StartupError`."""
    if not re.fullmatch(NAME, name) or len(name) > MAX_NAME:
        raise _error(file, 1, f"a template's file is named by a-z, 0-9 and _, at most {MAX_NAME} characters")
    start, toml = _split(file, text)
    try:
        header = parse_header(toml)
    except HeaderError as error:
        line = error.line or _line_of_key(toml, error.key)
        raise _error(file, start + line - 1, str(error)) from None
    try:
        tokens = Postgres().tokenize(text)
    except TokenError as error:
        raise _error(file, start, f"the SQL cannot be read: {error}") from None
    tokens = _one_statement(file, tokens)
    _check_calls(file, tokens)
    body, used = _placeholders(file, text, tokens, header.parameters)
    tree = _parse(file, body, tokens[0].line)
    _check_query(file, tree, tokens)
    _check_declared(file, start, toml, header.parameters, used)
    return Template(
        name=name,
        title=header.title,
        description=header.description,
        source=header.source or OWN_SOURCE,
        sql=f"SELECT * FROM (\n{body}\n) AS page LIMIT ${len(used) + 1}::bigint OFFSET ${len(used) + 2}::bigint",
        parameters=tuple(used.values()),
        page=header.parameters.get(PAGE),
        ordered=tree.args.get("order") is not None,
        file=file,
        first_line=tokens[0].line,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError("template_invalid", f"{path.name}: it cannot be read: {error}") from None


def _split(file: str, text: str) -> tuple[int, str]:
    """The header's first line number and its TOML: the file begins with a block comment that holds it."""
    found = re.match(r"\s*/\*(.*?)\*/", text, re.DOTALL)
    if found is None:
        raise _error(file, 1, "the file must begin with a header: TOML inside /* */")
    return text.count("\n", 0, found.start(1)) + 1, found.group(1)


def _one_statement(file: str, tokens: list[Token]) -> list[Token]:
    """The tokens without a closing semicolon."""
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise _error(file, 1, "there is no statement after the header")
    for index, token in enumerate(tokens):
        if token.token_type == TokenType.SEMICOLON:
            raise _error(file, tokens[index + 1].line, "a template is one statement; a second one begins here")
    return tokens


def _check_calls(file: str, tokens: list[Token]) -> None:
    """Refuse a bracket after a word that is neither an allowed function nor a keyword. Works on the text, so no alias
    of the parser can hide a name."""
    for index, token in enumerate(tokens[1:], start=1):
        before = tokens[index - 1]
        if token.token_type != TokenType.L_PAREN or not _is_word(before):
            continue
        leader = tokens[index - 2] if index > 1 else None
        if leader is not None and leader.text.lower() in NAMING:
            continue
        name = before.text.split()[-1].lower()
        quoted = before.token_type == TokenType.IDENTIFIER
        qualified = leader is not None and leader.token_type == TokenType.DOT
        if qualified or (name not in ALLOWED and (quoted or name not in KEYWORDS)):
            raise _error(file, before.line, f"function {name} is not one that a template may call")


def _is_word(token: Token) -> bool:
    return token.token_type == TokenType.IDENTIFIER or re.match(r"[^\W\d]", token.text) is not None


def _placeholders(
    file: str, text: str, tokens: list[Token], declared: Mapping[str, Parameter]
) -> tuple[str, dict[str, Parameter]]:
    """The statement with `($n::type)` for each `:name`, and the parameters in the order of their numbers."""
    used: dict[str, Parameter] = {}
    numbers: dict[str, int] = {}
    parts, copied = [], tokens[0].start
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type == TokenType.PARAMETER:
            raise _error(file, token.line, "a parameter is written :name")
        if token.token_type != TokenType.COLON or after is None or after.start != token.end + 1 or not _is_word(after):
            continue
        name = text[after.start : after.end + 1]
        if name == PAGE:
            raise _error(
                file, token.line, f":{PAGE} is applied by the server to count what is left; leave it out of the SQL"
            )
        if name not in declared:
            raise _error(file, token.line, f":{name} is not declared in the header")
        used[name] = declared[name]
        number = numbers.setdefault(name, len(numbers) + 1)
        parts += [text[copied : token.start], f"(${number}::{declared[name].postgres})"]
        copied = after.end + 1
    parts.append(text[copied : tokens[-1].end + 1])
    return "".join(parts), used


def _parse(file: str, body: str, line: int) -> exp.Expr:
    try:
        return parse_one("\n" * (line - 1) + body, read="postgres")
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        raise _error(file, first.get("line") or line, f"the SQL cannot be parsed: {first.get('description')}") from None


def _check_query(file: str, tree: exp.Expr, tokens: list[Token]) -> None:
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise _error(file, tokens[0].line, f"a template is a SELECT, not {tokens[0].text.upper()}")
    found = tree.find(*WRITES)
    if found is not None:
        word = "FOR" if isinstance(found, exp.Lock) else type(found).__name__.upper()
        line = next((token.line for token in tokens if token.text.upper() == word), tokens[0].line)
        raise _error(file, line, f"a template only reads; {word} is not allowed")


def _check_declared(file: str, start: int, toml: str, declared: Mapping[str, Parameter], used: Iterable[str]) -> None:
    for name in declared:
        line = start + _line_of_key(toml, f"params.{name}") - 1
        if name == CURSOR:
            raise _error(file, line, f"params.{name}: every template has a {CURSOR} of the server's own")
        if name == PAGE and declared[name].postgres != "integer":
            raise _error(file, line, f"params.{name}: it is the number of rows to answer, so an integer")
        if name not in used and name != PAGE:
            raise _error(file, line, f"params.{name}: the SQL does not use :{name}")


def _line_of_key(toml: str, key: str) -> int:
    """The 1-based line where the TOML key stands, or its table where the key itself does not."""
    parts = key.split(".")
    lines = toml.split("\n")
    table = next((n for n, line in enumerate(lines) if line.strip().startswith(f"[{'.'.join(parts[:2])}]")), 0)
    keyed = (n for n, line in enumerate(lines) if n >= table and re.match(rf"\s*{re.escape(parts[-1])}\s*=", line))
    return next(keyed, table) + 1


def _error(file: str, line: int, message: str) -> StartupError:
    return StartupError("template_invalid", f"{file}:{line}: {message}")

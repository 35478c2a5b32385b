"""Templates as files: what is accepted, what becomes of parameters, and where each mistake is said to be."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

import gatelodge_sql
from gatelodge import Environment, StartupError, ToolError
from gatelodge.dispatch import compile_tool
from gatelodge.schema import json_schema, loader
from gatelodge_sql.plugin import SQLPlugin
from gatelodge_sql.template import load_templates, parse_template

SHIPPED = Path(gatelodge_sql.__file__).with_name("templates")
EVERY_TYPE = """/*
title = "Every type"
description = "One parameter of each type."

[params.word]
type = "string"
description = "A word."
pattern = "[a-z]+"
min_length = 2
max_length = 5
example = "abc"

[params.count]
type = "integer"
description = "A count."
min = 1
max = 10
default = 3

[params.big]
type = "integer"
description = "A big one."
max = 1000000000000
optional = true

[params.ratio]
type = "number"
description = "A ratio."
min = 0
max = 0.5
optional = true

[params.flag]
type = "boolean"
description = "A flag."
default = false

[params.day]
type = "date"
description = "A day."
example = "2026-01-31"

[params.colour]
type = "enum"
description = "A colour."
values = ["red", "green"]
default = "red"

[params.keys]
type = "array"
description = "Keys."
items = { type = "integer", min = 1 }
min_length = 1
max_length = 2
optional = true
*/
SELECT :word AS word, :count AS count, :big AS big, :ratio AS ratio, :flag AS flag, :day AS day, :colour AS colour,
       :keys AS keys
"""


def template(sql: str, header: str = "") -> str:
    return f'/*\ntitle = "T"\ndescription = "D"\n{header}\n*/\n{sql}\n'


def one(name: str = "x", **members: str) -> str:
    lines = {"type": '"string"', "description": '"D"'} | members
    return f"[params.{name}]\n" + "\n".join(f"{key} = {value}" for key, value in lines.items())


def test_the_six_templates_ship() -> None:
    """The plugin's own folder holds the six templates, each with a title, an example call and an order to page by."""
    templates = {item.name: item for item in load_templates(SHIPPED)}
    assert set(templates) == {
        "search_issues_by_project",
        "get_project_metrics",
        "search_issues_by_text",
        "get_issue_history",
        "get_user_workload",
        "lead_time_metrics",
    }
    for item in templates.values():
        assert item.ordered
        assert item.title
        assert loader(item.schema())(item.example())


def test_every_tool_compiles() -> None:
    """The core can compile each tool, as read-only, with a schema for its result."""
    plugin = SQLPlugin()
    plugin.gatelodge_configure(Environment({}))
    for tool in plugin.gatelodge_tools():
        compiled = compile_tool("sql", tool)
        assert compiled.scopes == {"sql:read"}
        assert compiled.tool.annotations.read_only
        assert compiled.output_schema is not None


def test_placeholders_are_cast_to_the_declared_type() -> None:
    """Each `:name` becomes a numbered placeholder cast to its header's type; used twice, it keeps its number."""
    sql = "SELECT :x::uuid, a::text, ':x', $$ :x $$, \"od:x\" /* :x */ -- :x\n FROM t WHERE b = :x AND c = ANY(:y)"
    header = one() + "\n" + one("y", type='"array"', items='{ type = "date" }')
    parsed = parse_template("t", "t.sql", template(sql, header))
    expected = (
        "SELECT ($1::text)::uuid, a::text, ':x', $$ :x $$, \"od:x\" /* :x */ -- :x\n"
        " FROM t WHERE b = ($1::text) AND c = ANY(($2::date[]))"
    )
    assert expected in parsed.sql
    assert [item.name for item in parsed.parameters] == ["x", "y"]


def test_a_closing_semicolon_and_comment_are_left_out() -> None:
    """A statement may end as people end it."""
    parsed = parse_template("t", "t.sql", template("SELECT 1 AS a; -- done"))
    assert "\nSELECT 1 AS a\n" in parsed.sql


def test_every_type_reaches_the_json_schema() -> None:
    """Types, ranges, lengths, patterns, choices and defaults are told to the client as JSON Schema."""
    schema = json_schema(parse_template("t", "t.sql", EVERY_TYPE).schema())
    shown = {name: dict(item) for name, item in schema["properties"].items()}
    for item in shown.values():
        assert item.pop("description")
    assert schema["required"] == ["word", "day"]
    assert shown == {
        "word": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^(?:[a-z]+)$"},
        "count": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
        "big": {"type": "integer", "minimum": -(2**31), "maximum": 10**12},
        "ratio": {"type": "number", "minimum": 0, "maximum": 0.5},
        "flag": {"type": "boolean", "default": False},
        "day": {"type": "string", "format": "date"},
        "colour": {"type": "string", "enum": ["red", "green"], "default": "red"},
        "keys": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        },
        "cursor": {"type": "string", "maxLength": 100},
    }


def test_arguments_are_loaded_typed() -> None:
    """Defaults are filled in and dates become dates."""
    load = loader(parse_template("t", "t.sql", EVERY_TYPE).schema())
    assert load({"word": "abc", "day": "2026-01-31"}) == {
        "word": "abc",
        "day": date(2026, 1, 31),
        "count": 3,
        "flag": False,
        "colour": "red",
    }


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"word": "a"}, "word"),
        ({"word": "abcdef"}, "word"),
        ({"word": "ABC"}, "word"),
        ({"word": "abc\n"}, "word"),
        ({"word": "a\x00b"}, "word"),
        ({"word": None}, "word"),
        ({"count": 0}, "count"),
        ({"count": 11}, "count"),
        ({"count": "5"}, "count"),
        ({"count": 5.5}, "count"),
        ({"count": True}, "count"),
        ({"big": 10**13}, "big"),
        ({"ratio": 0.6}, "ratio"),
        ({"ratio": "0.1"}, "ratio"),
        ({"flag": "true"}, "flag"),
        ({"flag": 1}, "flag"),
        ({"day": "2026-02-30"}, "day"),
        ({"day": "yesterday"}, "day"),
        ({"colour": "blue"}, "colour"),
        ({"keys": []}, "keys"),
        ({"keys": [1, 2, 3]}, "keys"),
        ({"keys": [0]}, "keys.0"),
        ({"keys": "1"}, "keys"),
        ({"tenant_id": "x"}, "tenant_id"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(wrong: dict[str, object], field: str) -> None:
    """An argument outside its declaration is a `validation_error` that names it."""
    load = loader(parse_template("t", "t.sql", EVERY_TYPE).schema())
    with pytest.raises(ToolError) as caught:
        load({"word": "abc", "day": "2026-01-31"} | wrong)
    assert caught.value.code == "validation_error"
    assert field in caught.value.details["fields"]


BAD = [
    # what is not one SELECT
    ("", "t.sql:1: there is no statement"),
    ("SELECT 1;\nSELECT 2", "t.sql:7: a template is one statement"),
    ("DELETE FROM t", "t.sql:6: a template is a SELECT, not DELETE"),
    ("UPDATE t SET a = 1", "not UPDATE"),
    ("INSERT INTO t SELECT 1", "not INSERT"),
    ("CREATE TABLE t AS SELECT 1", "not CREATE"),
    ("TRUNCATE t", "not TRUNCATE"),
    ("VALUES (1)", "not VALUES"),
    ("DO $$ BEGIN END $$", "not DO"),
    ("SET ROLE postgres", "not SET"),
    ("COPY t TO STDOUT", "not COPY"),
    ("EXPLAIN SELECT 1", "not EXPLAIN"),
    ("WITH x AS (DELETE FROM t RETURNING *)\nSELECT * FROM x", "t.sql:6: a template only reads; DELETE"),
    (
        "WITH x AS (SELECT 1), y AS (\nINSERT INTO t SELECT 1 RETURNING *) SELECT * FROM y",
        "t.sql:7: a template only reads; INS",
    ),
    ("WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x", "only reads; UPDATE"),
    ("SELECT *\n INTO copy FROM t", "t.sql:7: a template only reads; INTO"),
    ("SELECT * FROM t\n FOR UPDATE", "t.sql:7: a template only reads; FOR"),
    ("SELECT * FROM t FOR KEY SHARE", "only reads; FOR"),
    ("SELECT 1 +", "t.sql:6: the SQL cannot be parsed"),
    ("SELECT 'open", "the SQL cannot be read"),
    # functions
    ("SELECT\npg_sleep(10)", "t.sql:7: function pg_sleep is not one"),
    ("SELECT PG_SLEEP (10)", "function pg_sleep"),
    ('SELECT "pg_sleep"(10)', "function pg_sleep"),
    ("SELECT pg_catalog.pg_sleep(10)", "function pg_sleep"),
    ("SELECT evil.count(*)", "function count"),
    ("SELECT pg_sleep/* */(10)", "function pg_sleep"),
    ("SELECT pg_sleep--\n(10)", "function pg_sleep"),
    ("SELECT * FROM dblink('x', 'y') AS d(a int)", "function dblink"),
    ("SELECT * FROM t WHERE a IN (SELECT pg_read_file('/etc/passwd'))", "function pg_read_file"),
    ("SELECT set_config('role', 'postgres', true)", "function set_config"),
    ("SELECT 1 ORDER BY pg_sleep(1)", "function pg_sleep"),
    ("SELECT nextval('s')", "function nextval"),
    ("SELECT lo_import('/etc/passwd')", "function lo_import"),
    ("SELECT query_to_xml('delete from t', true, true, '')", "function query_to_xml"),
    ('SELECT "in"(1)', "function in"),
    # parameters
    ("SELECT :nope", "t.sql:6: :nope is not declared"),
    ("SELECT $1", "a parameter is written :name"),
    ("SELECT 1 LIMIT :limit", ":limit is applied by the server"),
]


@pytest.mark.parametrize(("sql", "message"), BAD)
def test_a_template_that_does_more_than_read_is_refused(sql: str, message: str) -> None:
    """A write, a second statement, an unknown function or parameter stops the start, with file and line."""
    with pytest.raises(StartupError) as caught:
        parse_template("t", "t.sql", template(sql))
    assert str(caught.value).startswith("template_invalid: t.sql:")
    assert message in str(caught.value)


BAD_HEADERS = [
    ("SELECT 1", "t.sql:1: the file must begin with a header"),
    ("-- title\nSELECT 1", "must begin with a header"),
    ("/* title = */ SELECT 1", "the header is not TOML"),
    ("/*\ntitle = 'T'\n\ndescription = \n*/ SELECT 1", "t.sql:4: the header is not TOML"),
    ("/* title = 'T' */ SELECT 1", "description: Missing data"),
    ("/*\ntitle = 'T'\ndescription = 'D'\ncolor = 1\n*/ SELECT 1", "t.sql:4: color: Unknown field."),
    ("/*\ntitle = 5\ndescription = 'D'\n*/ SELECT 1", "t.sql:2: title: Not a valid string."),
    (template("SELECT :x", one(pattrn='"a"')), "t.sql:7: params.x.pattrn: Unknown field."),
    (template("SELECT :x", one(type='"text"')), "t.sql:5: params.x.type: Must be one of: string"),
    (template("SELECT :x", '[params.x]\ntype = "string"'), "t.sql:4: params.x: description is missing"),
    (template("SELECT :x", one(min="1")), "t.sql:7: params.x.min: a parameter of type string has no min"),
    (template("SELECT :x", one(type='"integer"', pattern='"a"')), "has no pattern"),
    (template("SELECT :x", one(type='"enum"')), "params.x.values: missing"),
    (template("SELECT :x", one(type='"array"')), "params.x.items: missing"),
    (template("SELECT :x", one(type='"enum"', values="[]")), "t.sql:7: params.x.values: Shorter"),
    (template("SELECT :x", one(pattern='"["')), "t.sql:7: params.x.pattern: not a regular expression"),
    (template("SELECT :x", one(type='"integer"', default='"1"')), "t.sql:7: params.x.default: Not a valid integer."),
    (template("SELECT :x", one(type='"integer"', max="5", default="6")), "params.x.default: Must be"),
    (template("SELECT :x", one(example="7")), "params.x.example: Not a valid string."),
    (template("SELECT :x", one(optional="true", default='"a"')), "params.x: it has a default"),
    (template("SELECT :x", one(type='"integer"', min='"1"')), "params.x.min: Not a number."),
    (template("SELECT 1", one()), "t.sql:4: params.x: the SQL does not use :x"),
    (template("SELECT :Xy", one("Xy")), "params.Xy: Not a name"),
    (template("SELECT :cursor", one("cursor")), "params.cursor: every template has a cursor"),
    (template("SELECT 1", one("limit")), "params.limit: it is the number of rows"),
]


@pytest.mark.parametrize(("text", "message"), BAD_HEADERS)
def test_a_bad_header_is_refused(text: str, message: str) -> None:
    """A header that is not TOML, or says what it cannot, stops the start with the line of the key."""
    with pytest.raises(StartupError) as caught:
        parse_template("t", "t.sql", text)
    assert str(caught.value).startswith("template_invalid: t.sql:")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["Up", "a-b", "1a", "a" * 61, "ä"])
def test_a_file_name_that_cannot_be_a_tool_is_refused(name: str) -> None:
    """The file's name is the tool's, so it must be one."""
    with pytest.raises(StartupError, match="a template's file is named by"):
        parse_template(name, f"{name}.sql", template("SELECT 1"))


GOOD = [
    "SELECT 1 UNION ALL SELECT 2",
    "WITH week (day) AS (SELECT 1) SELECT day FROM week",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n",
    "SELECT count(*) FILTER (WHERE a > 1) OVER (PARTITION BY b) FROM t",
    "SELECT a::numeric(10, 2), CAST(b AS varchar(3)) FROM t WHERE a IN (1, 2) AND EXISTS (SELECT 1)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t GROUP BY GROUPING SETS ((a), ())",
    "SELECT g.d FROM generate_series(1, 3) AS g(d) JOIN LATERAL (SELECT 1) AS x ON (true)",
    "SELECT DISTINCT ON (a) a, b ->> 'x', c[1:2] FROM t ORDER BY a",
    "SELECT count(*) FROM t WHERE tenant = current_setting('app.current_tenant_id')::uuid",
]


@pytest.mark.parametrize("sql", GOOD)
def test_what_only_reads_is_accepted(sql: str) -> None:
    """Set operations, common table expressions, windows and table functions are all reading."""
    assert parse_template("t", "t.sql", template(sql)).sql


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """A missing folder is not an empty one."""
    with pytest.raises(StartupError, match="there is no such folder"):
        load_templates(tmp_path / "nowhere")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are named by their file."""
    (tmp_path / "odd.sql").write_bytes(b"\xff\xfe")
    with pytest.raises(StartupError, match=r"odd\.sql: it cannot be read"):
        load_templates(tmp_path)

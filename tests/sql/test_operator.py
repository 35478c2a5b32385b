"""What the operator adds: a folder of templates, other databases, and the plain routes over all of them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from gatelodge import Environment, StartupError, ToolError
from gatelodge_sql.plugin import SQLPlugin
from gatelodge_sql.settings import SQLSettings

from .conftest import Gate, OpenGate

WEATHER = """/*
title = "Measurements"
description = "Measurements of the warehouse."
source = "warehouse"
[params.station]
type = "enum"
description = "Which station."
values = ["north", "south"]
[params.since]
type = "date"
description = "First day."
[params.kinds]
type = "array"
description = "Which kinds."
items = { type = "string", pattern = "[a-z]+" }
optional = true
[params.warm]
type = "boolean"
description = "Only the warm ones."
default = false
[params.above]
type = "number"
description = "Only above this."
optional = true
*/
SELECT day, kind, degrees
  FROM measurements
 WHERE station = :station
   AND day >= :since
   AND (:kinds IS NULL OR kind = ANY(:kinds))
   AND (NOT :warm OR degrees > 20)
   AND (:above IS NULL OR degrees > :above)
 ORDER BY day, kind;
"""
FILL = """
CREATE TABLE measurements (station text, day date, kind text, degrees numeric(4, 1), PRIMARY KEY (station, day, kind));
INSERT INTO measurements VALUES
    ('north', '2026-01-01', 'air', 1.5), ('north', '2026-01-02', 'air', 21.5), ('north', '2026-01-02', 'sea', 4),
    ('south', '2026-01-02', 'air', 30);
"""


@pytest.fixture
async def warehouse(superuser: str) -> AsyncIterator[str]:
    """A second database, reached by a role that may only read one table of it."""
    role, password = f"warehouse_{secrets.token_hex(4)}", secrets.token_urlsafe()
    owner = await asyncpg.connect(superuser)
    try:
        await owner.execute(FILL)
        await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'; GRANT SELECT ON measurements TO {role}")
        host = superuser.partition("?")[2]
        name = await owner.fetchval("SELECT current_database()")
        yield _with_user(superuser, role, password, name, host)
        await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    finally:
        await owner.close()


def _with_user(dsn: str, role: str, password: str, name: str, query: str) -> str:
    address = dsn.partition("@")[2].partition("/")[0]
    return f"postgresql://{role}:{quote(password)}@{address}/{name}" + (f"?{query}" if query else "")


async def test_a_template_of_the_operator_reads_another_database(open_gate: OpenGate, warehouse: str) -> None:
    """A file in the folder is a tool over the source it names, with parameters of every type."""
    gate = await open_gate({"weather": WEATHER}, GATELODGE_SQL_SOURCES=f"warehouse={warehouse}")

    async def degrees(**arguments: object) -> list[float]:
        rows = await gate.rows("weather", **{"station": "north", "since": "2026-01-01"} | arguments)
        return [row["degrees"] for row in rows]

    assert await degrees() == [1.5, 21.5, 4.0]
    assert await degrees(station="south") == [30.0]
    assert await degrees(since="2026-01-02") == [21.5, 4.0]
    assert await degrees(kinds=["sea", "land"]) == [4.0]
    assert await degrees(warm=True) == [21.5]
    assert await degrees(above=3) == [21.5, 4.0]


async def test_health_has_a_check_of_every_source(open_gate: OpenGate, warehouse: str) -> None:
    """Each source is shown on its own; only the server's own database makes it unready."""
    gate = await open_gate({"weather": WEATHER}, GATELODGE_SQL_SOURCES=f"warehouse={warehouse}")
    checks = {check.name: check for check in gate.plugin.gatelodge_health()}
    assert {name: check.critical for name, check in checks.items()} == {
        "source gatelodge": True,
        "source warehouse": False,
    }
    assert "connections" in await checks["source warehouse"].check()


async def test_a_source_past_row_level_security_is_refused(open_gate: OpenGate, superuser: str) -> None:
    """A superuser's DSN would read everything, so the start stops, without showing the DSN."""
    with pytest.raises(StartupError, match="warehouse connects past row-level security") as caught:
        await open_gate(GATELODGE_SQL_SOURCES=f"warehouse={superuser}")
    assert superuser not in str(caught.value)


async def test_a_source_that_does_not_answer_stops_the_start(open_gate: OpenGate) -> None:
    """One line says which source it is, without its password."""
    with pytest.raises(StartupError, match="source warehouse") as caught:
        await open_gate(GATELODGE_SQL_SOURCES="warehouse=postgresql://someone:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in str(caught.value)


async def test_an_unknown_source_is_refused(open_gate: OpenGate) -> None:
    """A template that names a source which is not set up stops the start, listing those that are."""
    with pytest.raises(StartupError, match=r"weather\.sql:1: source warehouse is not one of gatelodge"):
        await open_gate({"weather": WEATHER})


async def test_a_shipped_name_cannot_be_taken(tmp_path: Path) -> None:
    """A file in the folder may not replace a template that ships."""
    (tmp_path / "get_issue_history.sql").write_text("/*\ntitle = 'T'\ndescription = 'D'\n*/\nSELECT 1 AS a\n")
    with pytest.raises(StartupError, match=r"get_issue_history\.sql:1: there is a template get_issue_history already"):
        SQLPlugin().gatelodge_configure(Environment({"GATELODGE_SQL_TEMPLATES": str(tmp_path)}))


def test_sources_are_read_as_people_write_them() -> None:
    """Names and DSNs in one setting, with spaces, line breaks and commas inside a DSN."""
    text = "a=postgresql://u:p@h1,h2/db,\n b-2=postgres://h/db?x=1,"
    settings = Environment({"GATELODGE_SQL_SOURCES": text}).read(SQLSettings)
    assert settings.sources == {"a": "postgresql://u:p@h1,h2/db", "b-2": "postgres://h/db?x=1"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GATELODGE_SQL_SOURCES", "postgresql://u:s3cret@h/db", "It is a list of name=postgresql"),
        ("GATELODGE_SQL_SOURCES", "a=mysql://u:s3cret@h/db", "It is a list of name=postgresql"),
        ("GATELODGE_SQL_SOURCES", "A=postgresql://u:s3cret@h/db", "It is a list of name=postgresql"),
        ("GATELODGE_SQL_SOURCES", "a=postgresql://s3cret,a=postgresql://h", "The source a is there already"),
        ("GATELODGE_SQL_SOURCES", "gatelodge=postgresql://s3cret", "The source gatelodge is there already"),
        ("GATELODGE_SQL_TEMPLATES", "/nowhere/at/all", "There is no such folder"),
        ("GATELODGE_SQL_MAX_ROWS", "0", "Must be greater"),
        ("GATELODGE_SQL_MAX_BYTES", "many", "Not a valid integer"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(name: str, value: str, message: str) -> None:
    """The variable and the reason are said; a secret value is not."""
    with pytest.raises(StartupError) as caught:
        Environment({name: value}).read(SQLSettings)
    assert str(caught.value).startswith(f"setting_invalid: {name}: {message}")
    assert "s3cret" not in str(caught.value)


# --- the plain routes ---


async def test_templates_are_listed_with_their_parameters(open_gate: OpenGate, warehouse: str) -> None:
    """`GET /templates` shows the shipped ones and the operator's, with source and JSON Schema."""
    gate = await open_gate({"weather": WEATHER}, GATELODGE_SQL_SOURCES=f"warehouse={warehouse}")
    listed = await gate.ask("/templates")
    by_name = {item["name"]: item for item in listed["templates"]}
    assert listed["count"] == len(by_name) == 7
    assert (by_name["weather"]["tool"], by_name["weather"]["source"]) == ("sql.weather", "warehouse")
    assert by_name["weather"]["params"]["properties"]["station"]["enum"] == ["north", "south"]
    assert by_name["get_issue_history"]["source"] == "gatelodge"


async def test_a_query_is_the_tools_call(gate: Gate) -> None:
    """`POST /query` goes the same way as the tool and answers the same page."""
    result = await gate.ask("/query", {"template_name": "get_project_metrics", "params": {"project_key": "NONE"}})
    assert result.structured["rows"] == []
    refused = await gate.ask("/query", {"template_name": "get_project_metrics", "params": {"days": 0}})
    assert refused.error.code == "validation_error"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (None, "validation_error", "body"),
        ([], "validation_error", "body"),
        ({}, "validation_error", "template_name"),
        ({"template_name": 5}, "validation_error", "template_name"),
        ({"template_name": "get_issue_history", "params": []}, "validation_error", "params"),
        ({"template_name": "get_issue_history", "parms": {}}, "validation_error", "parms"),
        ({"template_name": "get_isue_history"}, "not_found", "template_name"),
        ({"template_name": "sql.get_issue_history"}, "not_found", "template_name"),
    ],
)
async def test_a_query_that_is_wrong_is_refused_by_field(gate: Gate, body: object, code: str, field: str) -> None:
    """A body of the wrong shape or an unknown template has a code and the field."""
    with pytest.raises(ToolError) as caught:
        await gate.ask("/query", body)
    assert caught.value.code == code
    assert field in caught.value.details["fields"]

"""Running a template: pages and cursors, deadlines and cancelling, errors, and values that stay values."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatelodge import LOCAL_TENANT, StartupError, ToolError

from .conftest import Gate, OpenGate

OTHER_TENANT = UUID(int=2)
NUMBERS = """/*
title = "Numbers"
description = "Counts."
[params.count]
type = "integer"
description = "How far."
max = 5000
[params.limit]
type = "integer"
description = "Page size."
min = 1
max = 1000
default = 1000
*/
SELECT n, rpad('', n % 50, 'x') AS pad FROM generate_series(1, :count) AS g(n) ORDER BY n DESC
"""
ECHO = """/*
title = "Echo"
description = "Gives back."
[params.word]
type = "string"
description = "A word."
[params.whole]
type = "integer"
description = "A number."
[params.real]
type = "number"
description = "A number."
[params.day]
type = "date"
description = "A day."
[params.words]
type = "array"
description = "Words."
items = { type = "string" }
[params.missing]
type = "array"
description = "Left out."
items = { type = "boolean" }
optional = true
*/
SELECT :word AS word, :whole AS whole, :real AS real, :day AS day, :words AS words, :missing AS missing, 'kept' AS kept
"""
WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=200)


def template(sql: str, header: str = "") -> str:
    return f"/*\ntitle = 'T'\ndescription = 'D'\n{header}\n*/\n{sql}\n"


def text_parameter(name: str) -> str:
    return f"[params.{name}]\ntype = 'string'\ndescription = 'D'"


async def waiting(pool: asyncpg.Pool) -> int:
    """How many backends of this database wait for a lock."""
    count: int = await pool.fetchval(f"SELECT count(*) {WAITING}")
    return count


async def until_waiting(pool: asyncpg.Pool) -> None:
    while not await waiting(pool):  # noqa: ASYNC110 - Postgres has no event for it
        await asyncio.sleep(0.01)


# --- pages ---


@pytest.mark.parametrize("size", [1, 7, 99, 100, 101, 250, 251])
async def test_following_the_cursor_gives_every_row_once(open_gate: OpenGate, size: int) -> None:
    """Whatever the page size, the pages together are the whole result in its order."""
    gate = await open_gate({"numbers": NUMBERS})
    rows = await gate.rows("numbers", count=250, limit=size)
    assert [row["n"] for row in rows] == list(range(250, 0, -1))


async def test_a_page_says_what_it_holds(open_gate: OpenGate) -> None:
    """A cut page is marked and carries a cursor; one that just fits is neither."""
    gate = await open_gate({"numbers": NUMBERS})
    cut = await gate.page("numbers", count=11, limit=10)
    assert (cut["row_count"], cut["truncated"], cut["cursor"] is None) == (10, True, False)
    whole = await gate.page("numbers", count=10, limit=10)
    assert (whole["row_count"], whole["truncated"], whole["cursor"]) == (10, False, None)
    assert whole["columns"] == ({"name": "n", "type": "int4"}, {"name": "pad", "type": "text"})
    assert whole["query_time_ms"] > 0


async def test_the_operators_caps_count_too(open_gate: OpenGate) -> None:
    """Neither more rows nor more bytes than the operator allows come at once, and the cursor still finds all."""
    gate = await open_gate({"numbers": NUMBERS}, GATELODGE_SQL_MAX_ROWS="40", GATELODGE_SQL_MAX_BYTES="1024")
    page = await gate.page("numbers", count=300)
    assert page["truncated"]
    assert 1 < page["row_count"] < 40
    assert len(msgspec.json.encode(page["rows"])) <= 1024 + 2
    assert [row["n"] for row in await gate.rows("numbers", count=300)] == list(range(300, 0, -1))


async def test_a_row_that_is_too_large_is_an_error(open_gate: OpenGate) -> None:
    """A single row over the cap cannot be cut, so it is refused by name of the setting."""
    wide = template("SELECT rpad('', 5000, 'x') AS wide")
    gate = await open_gate({"wide": wide}, GATELODGE_SQL_MAX_BYTES="1024")
    with pytest.raises(ToolError, match="GATELODGE_SQL_MAX_BYTES") as caught:
        await gate.page("wide")
    assert caught.value.code == "upstream_5xx"


async def test_rows_without_an_order_get_no_cursor(open_gate: OpenGate) -> None:
    """What has no order cannot be paged: the cut is marked, but no cursor is promised."""
    text = NUMBERS.replace(" ORDER BY n DESC", "")
    gate = await open_gate({"numbers": text})
    page = await gate.page("numbers", count=11, limit=10)
    assert (page["truncated"], page["cursor"]) == (True, None)


@pytest.mark.parametrize(
    ("tenant", "count", "change"),
    [
        (OTHER_TENANT, 50, lambda cursor: cursor),
        (LOCAL_TENANT, 51, lambda cursor: cursor),
        (LOCAL_TENANT, 50, lambda cursor: "B" + cursor[1:]),
        (LOCAL_TENANT, 50, lambda cursor: cursor[:-4] + "AAAA"),
        (LOCAL_TENANT, 50, lambda cursor: cursor[:-4]),
        (LOCAL_TENANT, 50, lambda cursor: "not a cursor"),
        (LOCAL_TENANT, 50, lambda cursor: ""),
        (LOCAL_TENANT, 50, lambda cursor: "ü"),
    ],
)
async def test_a_cursor_serves_only_its_own_query(open_gate: OpenGate, tenant: UUID, count: int, change: Any) -> None:
    """A cursor of another tenant or query, or one that was tampered with, is a `validation_error`."""
    gate = await open_gate({"numbers": NUMBERS})
    cursor = (await gate.page("numbers", count=50, limit=10))["cursor"]
    with pytest.raises(ToolError) as caught:
        await gate.page("numbers", tenant=tenant, count=count, limit=10, cursor=change(cursor))
    assert caught.value.code == "validation_error"
    assert "cursor" in caught.value.details["fields"]


async def test_replicas_with_one_secret_share_cursors(open_gate: OpenGate) -> None:
    """A cursor is taken by every process with the same secret, and by none with another."""
    secret = {"GATELODGE_SECRET_KEY": "s3cret"}
    first = await open_gate({"numbers": NUMBERS}, **secret)
    cursor = (await first.page("numbers", count=5, limit=2))["cursor"]
    second, stranger = await open_gate(**secret), await open_gate()
    assert [row["n"] for row in (await second.page("numbers", count=5, limit=2, cursor=cursor))["rows"]] == [3, 2]
    with pytest.raises(ToolError, match="cursor"):
        await stranger.page("numbers", count=5, limit=2, cursor=cursor)


# --- values ---


async def test_no_value_alters_the_statement(open_gate: OpenGate) -> None:
    """Whatever text, numbers, dates and arrays are given come back as they are."""
    gate = await open_gate({"echo": ECHO})
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        word=TEXT,
        whole=st.integers(-(2**31), 2**31 - 1),
        real=st.floats(allow_nan=False, allow_infinity=False),
        day=st.dates(),
        words=st.lists(TEXT, max_size=5),
    )
    def echo(**values: Any) -> None:
        arguments = values | {"day": values["day"].isoformat()}
        page = asyncio.run_coroutine_threadsafe(gate.page("echo", **arguments), loop).result()
        assert page["rows"] == [values | {"missing": None, "kept": "kept"}]

    await asyncio.to_thread(echo)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
async def test_text_that_postgres_cannot_hold_is_refused(open_gate: OpenGate, text: str) -> None:
    """NUL and half a surrogate pair are a `validation_error` that names the argument."""
    gate = await open_gate({"echo": template("SELECT :word AS word", text_parameter("word"))})
    with pytest.raises(ToolError) as caught:
        await gate.page("echo", word=text)
    assert caught.value.code == "validation_error"
    assert "word" in caught.value.details["fields"]


async def test_every_column_type_has_a_json_form(open_gate: OpenGate) -> None:
    """Numbers are numbers, times are ISO 8601, documents are objects, and the column's Postgres type is named."""
    sql = """SELECT true AS bool, 1::smallint AS int2, 2.5::numeric AS numeric, 'NaN'::numeric AS nan,
        ARRAY[1.5, 2]::numeric[] AS numerics, 'x'::varchar(3) AS varchar, '2026-01-31'::date AS date,
        '2026-01-31T10:00:00Z'::timestamptz AS timestamptz, interval '1 day 2 hours' AS interval,
        '{"a": [1, null]}'::jsonb AS jsonb, ARRAY['a', NULL] AS texts, NULL::text AS nothing,
        '00000000-0000-0000-0000-000000000001'::uuid AS uuid"""
    gate = await open_gate({"types": template(sql)})
    page = await gate.page("types")
    types = {column["name"]: column["type"] for column in page["columns"]}
    assert (types["numerics"], types["texts"], types["varchar"]) == ("numeric[]", "text[]", "varchar")
    row = page["rows"][0]
    assert math.isnan(row.pop("nan"))
    assert row.pop("timestamptz") == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert row.pop("date") == date(2026, 1, 31)
    assert msgspec.json.decode(msgspec.json.encode(row)) == {
        "bool": True,
        "int2": 1,
        "numeric": 2.5,
        "numerics": [1.5, 2.0],
        "varchar": "x",
        "interval": "P1DT7200S",
        "jsonb": {"a": [1, None]},
        "texts": ["a", None],
        "nothing": None,
        "uuid": "00000000-0000-0000-0000-000000000001",
    }


# --- who sees what ---


async def test_a_template_runs_read_only_as_the_reader_of_its_tenant(open_gate: OpenGate) -> None:
    """The role, the tenant and the mode hold inside the transaction and are gone after it."""
    names = ("role", "app.current_tenant_id", "transaction_read_only", "statement_timeout")
    columns = ", ".join(f"current_setting('{name}') AS c{n}" for n, name in enumerate(names))
    gate = await open_gate({"who": template(f"SELECT {columns}, 'x' AS x")})
    row = (await gate.page("who", tenant=OTHER_TENANT))["rows"][0]
    assert (row["c0"], row["c1"], row["c2"]) == ("gatelodge_reader", str(OTHER_TENANT), "on")
    assert row["c3"].endswith("ms")


async def test_nothing_of_the_transaction_is_left_on_the_connection(open_gate: OpenGate, pool: asyncpg.Pool) -> None:
    """Role and tenant are local to the transaction: the next user of the connection is the owner without a tenant."""
    gate = await open_gate({"numbers": NUMBERS})
    await gate.page("numbers", count=1)
    seen = await pool.fetchrow("SELECT current_user AS who, current_setting('app.current_tenant_id', true) AS tenant")
    assert seen["who"] != "gatelodge_reader"
    assert not seen["tenant"]


# --- deadlines and failures ---


async def test_a_query_that_takes_too_long_is_a_timeout(gate: Gate, pool: asyncpg.Pool) -> None:
    """At its deadline a query ends in Postgres too, and the caller hears `timeout`."""
    async with pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE work_items")
        result = await gate.call("sql.search_issues_by_project", {"project_key": "SHOP"}, timeout=0.2)
        assert await waiting(pool) == 0
    assert result.error is not None
    assert result.error.code == "timeout"


async def test_cancelling_a_call_cancels_it_in_postgres(gate: Gate, pool: asyncpg.Pool) -> None:
    """When the caller goes away nothing keeps running, and the connection is usable again."""
    async with pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE work_items")
        call = asyncio.create_task(gate.page("search_issues_by_project", project_key="SHOP"))
        await until_waiting(pool)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await waiting(pool) == 0
    assert (await gate.page("search_issues_by_project", project_key="SHOP"))["rows"] == []


async def test_a_lost_connection_is_a_network_error(gate: Gate, pool: asyncpg.Pool) -> None:
    """A backend that is shut down under a query is a `network_error`, and the next call works."""
    async with pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE work_items")
        call = asyncio.create_task(gate.call("sql.search_issues_by_project", {"project_key": "SHOP"}))
        await until_waiting(pool)
        await blocker.execute(f"SELECT pg_terminate_backend(pid) {WAITING}")
        result = await call
    assert result.error is not None
    assert result.error.code == "network_error"
    assert (await gate.page("search_issues_by_project", project_key="SHOP"))["rows"] == []


@pytest.mark.parametrize(
    ("sql", "word", "code"),
    [
        ("SELECT :word::uuid AS a", "secret-word", "validation_error"),
        ("SELECT 1 / length(:word) AS a", "", "validation_error"),
        ("SELECT (SELECT n FROM generate_series(1, 2) AS g(n) WHERE :word <> '') AS a", "x", "upstream_5xx"),
    ],
)
async def test_a_failing_query_tells_its_code_only(open_gate: OpenGate, sql: str, word: str, code: str) -> None:
    """What Postgres says may quote rows and SQL, so the caller gets a code, a sentence and the SQLSTATE."""
    gate = await open_gate({"failing": template(sql, text_parameter("word"))})
    result = await gate.call("sql.failing", {"word": word})
    assert result.error is not None
    assert result.error.code == code
    assert set(result.error.details) == {"template", "source", "sqlstate"}
    assert "secret-word" not in str(result.error)
    assert "SELECT" not in str(result.error)


async def test_slow_queries_leave_connections_to_the_server(gate: Gate, pool: asyncpg.Pool) -> None:
    """Templates hold at most half of the server's connections; the others wait their turn."""
    async with pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE work_items")
        calls = [asyncio.create_task(gate.page("search_issues_by_project", project_key="SHOP")) for _ in range(30)]
        while await waiting(pool) < pool.get_max_size() // 2:  # noqa: ASYNC110 - Postgres has no event for it
            await asyncio.sleep(0.01)
        assert await pool.fetchval("SELECT 1") == 1
    pages = await asyncio.gather(*calls)
    assert [page["row_count"] for page in pages] == [0] * 30


# --- what Postgres finds at start ---


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "SELECT 1 AS a,\n titel AS b FROM work_items",
            'typo.sql:7: Postgres refuses it: column "titel" does not exist',
        ),
        ("SELECT * FROM\n work_itms", 'typo.sql:7: Postgres refuses it: relation "work_itms" does not exist'),
        ("SELECT count(1, 2) AS a", "typo.sql:6: Postgres refuses it: function count"),
        ("SELECT rolpassword FROM pg_authid", "Postgres refuses it: permission denied"),
        ("SELECT 1 AS a, 2 AS a", "typo.sql:6: two columns are named a"),
        ("SELECT '127.0.0.1'::inet AS address", "column address is of type inet; cast it"),
        ("SELECT w FROM work_items AS w", "column w is of type"),
    ],
)
async def test_a_typo_is_found_at_start(open_gate: OpenGate, sql: str, message: str) -> None:
    """Postgres checks every template before the first call; what it finds names the file and the line."""
    with pytest.raises(StartupError) as caught:
        await open_gate({"typo": template(sql)})
    assert message in str(caught.value)

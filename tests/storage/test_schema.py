"""What the tables themselves guarantee, whoever writes to them: tenants apart, and an audit that only grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

ANALYTICS = ("work_items", "work_item_transitions", "work_item_metrics_daily")
ONE, OTHER = UUID(int=1), UUID(int=2)
ROWS = {
    "work_items": """
        INSERT INTO work_items (tenant_id, instance_id, issue_key, project_key, issue_type, title, status,
                                status_category, created_at, updated_at)
        VALUES ($1, 'sandbox', 'SHOP-1', 'SHOP', 'Bug', 'Checkout fails', 'To Do', 'new', now(), now())""",
    "work_item_transitions": """
        INSERT INTO work_item_transitions (tenant_id, instance_id, issue_key, from_status, to_status, at)
        VALUES ($1, 'sandbox', 'SHOP-1', 'To Do', 'Done', now())""",
    "work_item_metrics_daily": """
        INSERT INTO work_item_metrics_daily (tenant_id, project_key, day) VALUES ($1, 'SHOP', '2026-01-01')""",
}
AUDIT = "INSERT INTO audit_logs (tenant_id, seq, kind, request_id) VALUES ($1, $2, 'event', 'r')"
Connection = asyncpg.Connection


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def become(connection: Connection, tenant: UUID | str | None) -> None:
    """The tenant until the end of the transaction; None is a session that never had one."""
    if tenant is not None:
        await connection.execute("SELECT set_config('app.current_tenant_id', $1, true)", str(tenant))


@pytest.fixture
async def filled(connection: Connection) -> Connection:
    """Two tenants with the same rows in each analytics table."""
    for tenant in (ONE, OTHER):
        async with connection.transaction():
            await become(connection, tenant)
            for insert in ROWS.values():
                await connection.execute(insert, tenant)
    return connection


# --- tenants ---


@pytest.mark.parametrize("table", ANALYTICS)
async def test_a_reader_sees_its_tenant_alone(filled: Connection, table: str) -> None:
    """As the reader role a query without any condition gives the rows of the current tenant and no other."""
    for tenant in (ONE, OTHER):
        async with filled.transaction(readonly=True):
            await filled.execute("SET LOCAL ROLE gatelodge_reader")
            await become(filled, tenant)
            assert [row[0] for row in await filled.fetch(f"SELECT tenant_id FROM {table}")] == [tenant]


@pytest.mark.parametrize("table", ANALYTICS)
@pytest.mark.parametrize("tenant", [None, "", uuid4()])
async def test_without_a_tenant_nothing_is_seen(
    database: str, filled: Connection, table: str, tenant: UUID | str | None
) -> None:
    """Unset, empty and unknown tenants see nothing, neither as the reader nor as the tables' owner."""
    fresh = await asyncpg.connect(database)
    try:
        for role in ("gatelodge_reader", "gatelodge"):
            async with fresh.transaction():
                await become(fresh, tenant)
                await fresh.execute(f"SET LOCAL ROLE {role}")
                assert await fresh.fetchval(f"SELECT count(*) FROM {table}") == 0
    finally:
        await fresh.close()


@pytest.mark.parametrize("table", ANALYTICS)
async def test_the_owner_cannot_reach_into_another_tenant(filled: Connection, table: str) -> None:
    """Even the owner writes, moves and deletes only rows of the current tenant."""
    async with filled.transaction():
        await become(filled, ONE)
        assert await filled.execute(f"DELETE FROM {table} WHERE tenant_id = $1", OTHER) == "DELETE 0"
        for change, arguments in ((ROWS[table], [OTHER]), (f"UPDATE {table} SET tenant_id = $1", [OTHER])):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                async with filled.transaction():
                    await filled.execute(change, *arguments)


async def test_the_reader_may_only_read_the_three_tables(filled: Connection) -> None:
    """Every other table is closed to it, and so is every kind of writing."""
    names = await filled.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    assert len(names) > len(ANALYTICS)
    rights = "SELECT has_table_privilege('gatelodge_reader', $1, $2)"
    for (name,) in names:
        assert await filled.fetchval(rights, name, "SELECT") == (name in ANALYTICS)
        assert not await filled.fetchval(rights, name, "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER")


async def test_the_reader_cannot_log_in_or_climb(connection: Connection) -> None:
    """The role has no password to guess and nothing to pass on."""
    role = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = 'gatelodge_reader'")
    assert role is not None
    assert not any(role[right] for right in ("rolcanlogin", "rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb"))


async def test_titles_are_found_by_trigrams(filled: Connection) -> None:
    """A misspelt word finds its title by the index's own operator."""
    async with filled.transaction():
        await become(filled, ONE)
        assert await filled.fetchval("SELECT issue_key FROM work_items WHERE 'checkouts' <% title") == "SHOP-1"
    assert "gin_trgm_ops" in await filled.fetchval(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'work_items_title'"
    )


# --- the audit ---


@pytest.mark.parametrize("table", ["audit_logs", "audit_logs_2026_03"])
@pytest.mark.parametrize("change", ["UPDATE {} SET outcome = 'ok'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_audit_takes_no_change(database: str, superuser: str, table: str, change: str) -> None:
    """Neither the owner nor a superuser changes or removes a row, through the table or one of its partitions."""
    for number, dsn in enumerate((database, superuser)):
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("SELECT audit_logs_create_partition('2026-03-15')")
            await connection.execute(AUDIT, ONE, number)
            await connection.execute(
                "INSERT INTO audit_logs (tenant_id, seq, kind, request_id, created_at) "
                "VALUES ($1, $2, 'event', 'r', '2026-03-31 23:59:59Z')",
                *(ONE, number + 10),
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await connection.execute(change.format(table))
            assert await connection.fetchval("SELECT count(*) FROM audit_logs") == 2 * number + 2
        finally:
            await connection.close()


async def test_a_month_is_one_in_utc(connection: Connection) -> None:
    """A partition's bounds do not depend on the session's time zone."""
    await connection.execute("SET timezone = 'Pacific/Auckland'")
    name = await connection.fetchval("SELECT audit_logs_create_partition('2031-02-28')")
    await connection.execute("SET timezone = 'UTC'")
    bound = await connection.fetchval("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = $1", name)
    assert name == "audit_logs_2031_02"
    assert bound == "FOR VALUES FROM ('2031-02-01 00:00:00+00') TO ('2031-03-01 00:00:00+00')"


async def test_replicas_may_make_a_month_together(database: str) -> None:
    """Whoever comes second finds the partition made."""

    async def create() -> str:
        connection = await asyncpg.connect(database)
        try:
            return str(await connection.fetchval("SELECT audit_logs_create_partition('2031-02-01')"))
        finally:
            await connection.close()

    assert await asyncio.gather(*(create() for _ in range(4))) == ["audit_logs_2031_02"] * 4


async def test_this_month_and_the_next_are_there(connection: Connection) -> None:
    """Rows can be written from the first moment on, and past the end of the month."""
    for seq, moment in enumerate(("now()", "date_trunc('month', now()) + interval '1 month'")):
        insert = "INSERT INTO audit_logs (tenant_id, seq, kind, request_id, created_at) VALUES ($1, $2, 'event', 'r', "
        await connection.execute(f"{insert}{moment})", ONE, seq)


async def test_a_number_is_given_once(connection: Connection) -> None:
    """A tenant's chain cannot have two rows of one number at one time, nor a kind we do not know."""
    async with connection.transaction():
        await connection.execute(AUDIT, ONE, 1)
        with pytest.raises(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute(AUDIT, ONE, 1)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(AUDIT.replace("'event'", "'rumour'"), ONE, 2)

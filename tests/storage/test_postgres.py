"""The pool: the URLs people write, JSON both ways, and errors that keep the password."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.storage import StorageError
from gatelodge.storage.postgres import create_pool, plain_dsn, shown_dsn

SECRET = "canary"
URLS = st.builds(
    "{}{}:{}{}@{}/{}{}".format,
    st.sampled_from(["postgresql://", "postgres://", "postgresql+asyncpg://", ""]),
    st.text("ab:@/?#&%=", max_size=6),
    st.text("ab:@/?#&%=1", max_size=6),
    st.just(SECRET),
    st.sampled_from(["db.example.com", "db:5432", "[::1]:5432", ""]),
    st.sampled_from(["gatelodge", ""]),
    st.sampled_from(["", "?sslmode=require", "?host=/run/pg&password=" + SECRET, "?password=x@" + SECRET]),
)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg2"])
async def test_the_usual_schemes_are_understood(database: str, scheme: str) -> None:
    """A URL copied from a guide for SQLAlchemy works as it stands."""
    pool = await create_pool(database.replace("postgresql", scheme, 1))
    try:
        assert await pool.fetchval("SELECT current_setting('application_name')") == "gatelodge"
    finally:
        await pool.close()


async def test_json_is_decoded_and_encoded(database: str) -> None:
    """Both JSON types give and take Python values, text outside ASCII among them."""
    pool = await create_pool(database, application="test")
    value = {"a": [1, 2.5, None, True, "ü"], "b": {}}
    try:
        assert list(await pool.fetchrow("SELECT $1::json, $1::jsonb", value)) == [value, value]
    finally:
        await pool.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@db.example.com:5432/x?sslmode=require", "postgresql://db.example.com:5432/x"),
        ("postgres+asyncpg://u@db/x", "postgres+asyncpg://db/x"),
        ("postgresql://u:p@/x?host=/run/postgres", "postgresql:///x"),
        ("postgresql://u:p@[::1]:5432/x", "postgresql://[::1]:5432/x"),
        ("postgresql://u:p@a:1,b:2/x", "postgresql://a:1,b:2/x"),
        ("postgresql://u:p/q@db/x", "postgresql://…"),
        ("postgresql://u:p?q@db/x", "postgresql://…"),
        ("postgresql://u:p#q@db/x", "postgresql://…"),
    ],
)
def test_a_url_is_shown_without_its_login(url: str, shown: str) -> None:
    """Host, port and database stay; of a URL with a stray delimiter in its password nothing does."""
    assert shown_dsn(url) == shown


@given(URLS)
def test_no_shown_url_holds_the_password(url: str) -> None:
    """However a password is put in, and whatever it contains, none of it is shown."""
    assert SECRET not in shown_dsn(url)
    assert urlsplit(plain_dsn("postgres+asyncpg://h/x")).scheme == "postgresql"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@127.0.0.1:1/x",
        f"postgresql://u:a/{SECRET}@127.0.0.1/x",
        f"postgresql://u:{SECRET}/b@127.0.0.1/x",
        f"mysql://u:{SECRET}@127.0.0.1/x",
        f"postgresql://u:{SECRET}@127.0.0.1:70000/x",
        f"postgresql://u:{SECRET}@127.0.0.1:1/x?sslmode=never",
        SECRET,
    ],
)
async def test_an_unusable_url_is_one_line_without_the_password(url: str) -> None:
    """A server that is not there and a URL that is none give the same kind of error."""
    with pytest.raises(StorageError, match="cannot be used") as caught:
        await create_pool(url)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_wrong_password_is_said_to_be_one(database: str) -> None:
    """Postgres's own reason is passed on."""
    wrong = urlsplit(database)._replace(netloc=f"gatelodge:{SECRET}@").geturl()
    with pytest.raises(StorageError, match="password authentication failed") as caught:
        await create_pool(wrong)
    assert SECRET not in str(caught.value)

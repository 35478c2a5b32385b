"""What is kept out of records, and that nothing else is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelodge.audit.record import LARGEST, address_column, json_column, text_column
from gatelodge.redaction import LONGEST, REDACTED, is_secret, redact, redact_text

SECRET = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=24, max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "dbPassword",
        "passwd",
        "api_key",
        "apiKey",
        "X-API-Key",
        "token",
        "access_token",
        "accessToken",
        "Authorization",
        "Set-Cookie",
        "client_secret",
        "private_key",
        "credentials",
        "jwt",
        "pwd",
        "aws_access_key_id",
    ],
)
def test_fields_of_secrets_are_known_by_their_names(name: str) -> None:
    """Whatever the style of the name; the value goes, and null stays null."""
    assert is_secret(name)
    assert redact({name: "x", "in": [{name: ["y"]}]}) == {name: REDACTED, "in": [{name: REDACTED}]}
    assert redact({name: None}) == {name: None}


@pytest.mark.parametrize(
    "name",
    [
        "issue_key",
        "project_key",
        "idempotency_key",
        "author",
        "assignee",
        "tokenize",
        "summary",
        "compass",
        "auth_method",
    ],
)
def test_other_fields_stay(name: str) -> None:
    """A record without its issue keys would be of no use."""
    assert not is_secret(name)
    assert redact({name: "SHOP-1"}) == {name: "SHOP-1"}


@pytest.mark.parametrize(
    "text",
    [
        "The token bucket is full",
        "basic authentication is off",
        "token validation fails",
        "SHOP-12 blocks OPS-3",
        "see https://jira.example.com/browse/X-1",
        "password reset fails",
        "mail someone@example.com",
        "sk-8 board",
        "2026-11-25T12:00:00Z",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    """Talk about secrets is not one, as far as that can be told."""
    assert redact_text(text) == text


@given(
    SECRET,
    st.sampled_from(
        [
            "Bearer {}",
            "authorization: Basic {}",
            "https://u:{}@h/",
            "api_key={}",
            '"password": "{}"',
            "glk_{}",
            "ghp_{}",
            "token={}&x=1",
            "eyJ{}.{}.{}",
            "ATATT3x{}",
            "-----BEGIN RSA PRIVATE KEY-----\n{}\n",
            "xoxb-{}",
            "sk-{}",
        ]
    ),
    st.text(" .,;!?\nüñ—()<>&", max_size=20),
)
def test_text_that_looks_like_a_secret_goes(secret: str, form: str, around: str) -> None:
    """Wherever in a text it stands."""
    assert secret not in redact_text(f"{around} {form.replace('{}', secret)} {around}")


@given(JSON)
@settings(max_examples=200)
def test_any_value_becomes_a_column(value: Any) -> None:
    """JSON text that Postgres takes, the same each time, of bounded size; null is no value."""
    column = json_column(value)
    assert (column is None) == (value is None)
    if column is not None:
        assert column == json_column(value)
        assert len(column.encode()) <= LARGEST
        msgspec.json.decode(column)


def test_long_and_deep_values_are_cut() -> None:
    """A record is no place for a book."""
    assert redact_text("x" * LONGEST) == "x" * LONGEST
    assert redact_text("x" * (LONGEST + 1)) == "x" * LONGEST + f"[cut: {LONGEST + 1} characters]"
    deep: Any = {}
    for _ in range(500):
        deep = {"a": deep}
    assert "too deep" in (json_column(deep) or "")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a\0b", "a�b"), ("ü\ud800", "ü?"), (None, None), ("plain", "plain")],
)
def test_text_columns_hold_what_postgres_takes(given: str | None, kept: str | None) -> None:
    """No NUL and no lone surrogate."""
    assert text_column(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("", None),
        ("x", None),
    ],
)
def test_addresses_are_written_as_postgres_writes_them(given: str, kept: str | None) -> None:
    """So that the hash fits what is read back; what is none is left out."""
    assert address_column(given) == kept

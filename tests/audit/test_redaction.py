"""What is kept out of records, and that nothing else is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelodge.audit.record import LARGEST, address_column, json_column, text_column
from gatelodge.redaction import LONGEST, REDACTED, SECRET_TEXT, is_secret, redact, redact_text

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
        "X-Auth",
        "otp",
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


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ('{"password": "correct horse, battery; staple & more"}', ["correct", "horse", "battery", "staple", "more"]),
        ('"password": "with \\" a quote"', ["with", "quote"]),
        ("passphrase='four words in quotes'", ["four", "words", "quotes"]),
        (r'{"body": "{\"client_secret\": \"s3cr3t horse\"}"}', ["s3cr3t", "horse"]),
        ("https://user:p@ss/w:rd@host/path", ["p@ss", "ss/w"]),
        ("https://bucket/key?X-Amz-Date=1&X-Amz-Signature=abcdef0123", ["abcdef0123"]),
        ("Cookie: sid=s3ss10n; csrf=t0k3n; theme=dark", ["s3ss10n", "t0k3n"]),
        ("Authorization: Negotiate YIIabc+/=", ["YIIabc"]),
        ("authorization=Basic dTpw", ["dTpw"]),
        ("secretKey=abcdef12345 and pwd: hunter2", ["abcdef12345", "hunter2"]),
    ],
)
def test_a_secret_goes_whole(text: str, secrets: list[str]) -> None:
    """In quotes, with delimiters of its own, inside JSON inside a string, and in a query."""
    assert [part for part in secrets if part in redact_text(text)] == []


@dataclass
class Login:
    user: str
    password: str


def test_what_is_no_json_is_redacted_as_what_it_becomes() -> None:
    """Members of an object are known by their names too, bytes say only how many they are, and names are text."""
    kept = json_column(
        {"login": Login("ann", "canary"), "raw": b"canary", "glk_canary_canary_canary": 1, "at": Decimal("1.5")}
    )
    assert kept is not None
    assert "canary" not in kept
    assert msgspec.json.decode(kept) == {
        "login": {"user": "ann", "password": REDACTED},
        "raw": "[6 bytes]",
        REDACTED: 1,
        "at": "1.5",
    }


HOSTILE = [
    "-----BEGIN A PRIVATE KEY-----",
    "bearer ",
    "bearer",
    " ",
    "://",
    "://a:",
    "password",
    "token=",
    "eyJ",
    "eyJa.",
    "a-",
]
HOSTILE += ['password="', "password='\\", "cookie: a=b; ", '\\"', "authorization: ", "x:y@"]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_costs_no_more_than_other_text(piece: str) -> None:
    """Ten times the text takes about ten times as long, and not a hundred times."""

    def seconds(length: int) -> float:
        text = (piece * length)[:length]
        started = time.process_time()
        SECRET_TEXT.sub("", text)
        return time.process_time() - started

    assert min(seconds(80_000) for _ in range(3)) < 50 * min(seconds(8_000) for _ in range(3)) + 0.01


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

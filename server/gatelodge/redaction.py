"""What is kept out of every record: values of fields that hold secrets, and text that looks like one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

PLAIN = (type(None), bool, int, float, Decimal, date, time, timedelta, UUID)
"""What holds no text of anybody's."""
REDACTED = "[redacted]"
LONGEST = 4000
"""Characters of one string that a record keeps."""
DEEPEST = 32
ORDINARY = 64
"""Characters of the names that are looked at once and remembered: those of arguments and fields come again and again."""

SECRET_FIELD = re.compile(
    r"pass(word|wd|phrase)|secret|credential|authorization|cookie|api[-_]?key|private[-_]?key|access[-_]?key"
    r"|(^|[-_a-z])(token|jwt|bearer|signature)s?$|(^|[-_])(pwd|auth|otp)$",
    re.IGNORECASE,
)
# Nothing in it may start again within a run of what it has read, or hostile text would take the square of its length.
SECRET_TEXT = re.compile(
    r"""
      # Credentials of RFC 9110 (but not "basic authentication"), a login in a URL, an assignment, a JWT, what services issue
      (?P<scheme>\b(?:bearer|basic|token)\s+)(?=\S*[\d=]|\S{20})[\w.~+/=-]{8,}
    | (?P<url>(?<![a-z0-9+.-])[a-z0-9+.-]+://)[^\s/@:]{0,200}:\S{1,500}(?=@)
    | (?P<pair>(?<![\w-])(?:[\w-]*(?:password|passwd|passphrase|pwd|secret(?:[-_]?key)?|token|signature
               |api[-_]?key|access[-_]?key)|(?:set-)?cookie)(?:\\*["'])?\s*[:=]\s*
               |authorization(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?(?:\w+\s+)?)
      (?:"(?:[^"\\]|\\.){1,2000}"?|'(?:[^'\\]|\\.){1,2000}'?|\\+["'][^"']{1,2000}
       |[^\s"',;&]+(?:;\s*[\w.-]+=[^\s"',;&]+)*)
    | (?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*
    | \b(?:glk|gh[pousr]|github_pat|glpat|xox[abeoprs]|sk|pk|rk)[-_][\w-]{10,}
    | (?<![\w-])ATATT[\w=-]{10,} | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b | \bAIza[\w-]{30,}
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def redact(value: Any, *, depth: int = 0) -> Any:
    """The value as JSON-like data with secrets replaced, long strings cut and what nests too deeply left out.

    The result can be encoded as JSON in UTF-8: lone surrogates are replaced.
    """
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        if depth >= DEEPEST:
            return "[too deep]"
        return dict(_member(str(key), item, depth) for key, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[too deep]" if depth >= DEEPEST else [redact(item, depth=depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{len(value)} bytes]"
    return redact(msgspec.to_builtins(value, enc_hook=str), depth=depth)  # whose members have names too


def redact_text(text: str) -> str:
    """Free text with what looks like a secret replaced, cut to `LONGEST` characters."""
    cut = len(text) > LONGEST
    clean = SECRET_TEXT.sub(_hide, _clean(text[: 2 * LONGEST] if cut else text))
    return f"{clean[:LONGEST]}[cut: {len(text)} characters]" if cut else clean


def is_secret(field: str) -> bool:
    """Whether a field of this name holds a secret whatever its value."""
    return SECRET_FIELD.search(field) is not None


def _member(name: str, value: Any, depth: int) -> tuple[str, Any]:
    shown, secret = _known(name) if len(name) <= ORDINARY else _look(name)
    if secret and value is not None and not isinstance(value, bool):
        return shown, REDACTED
    return shown, redact(value, depth=depth + 1)


def _look(name: str) -> tuple[str, bool]:
    """A name as it may be shown, and whether what it names is a secret."""
    return redact_text(name), is_secret(name)


_known = lru_cache(maxsize=4096)(_look)


def _hide(found: re.Match[str]) -> str:
    return (found["scheme"] or found["url"] or found["pair"] or "") + REDACTED


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()

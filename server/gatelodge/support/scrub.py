"""Takes every secret of an environment out of bytes, wherever it came in: the last thing done to a support bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import Field
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from ..redaction import REDACTED, is_secret

SHORTEST = 4
"""Characters: what is shorter is in any text by chance."""
PASSWORD = re.compile(r"://[^\s/@:]*:([^\s@]+)@")


class Scrubber:
    """`known` are the settings that somebody reads; what a name gives away as secret counts too, read or not."""

    def __init__(self, variables: Mapping[str, str], known: Mapping[str, Field[Any]]) -> None:
        found = {form for value in _secrets(variables, known) for form in _forms(value)}
        longest_first = sorted((form for form in found if len(form) >= SHORTEST), key=len, reverse=True)
        self._secret = re.compile(b"|".join(re.escape(form) for form in longest_first)) if longest_first else None

    def clean(self, data: bytes) -> bytes:
        return data if self._secret is None else self._secret.sub(REDACTED.encode(), data)


def _secrets(variables: Mapping[str, str], known: Mapping[str, Field[Any]]) -> Iterator[str]:
    for name, value in variables.items():
        for password in PASSWORD.findall(value):
            yield from (password, unquote(password))
        if is_secret(name) or (name in known and known[name].metadata["secret"]):
            yield value
            yield from (part.strip() for part in value.split(","))


def _forms(secret: str) -> Iterator[bytes]:
    """As it is, as URLs have it, and as JSON has it."""
    plain = secret.encode("utf-8", "replace").decode()
    yield secret.encode("utf-8", "surrogateescape")
    for text in (quote(plain), quote(plain, safe=""), json.dumps(plain)[1:-1]):
        yield text.encode()
    yield msgspec.json.encode(plain)[1:-1]

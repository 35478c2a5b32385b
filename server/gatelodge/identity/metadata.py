"""What a client reads to find out where to sign in, and what a refusal tells it.

Source: RFC 9728 (protected resource metadata), RFC 6750 (bearer challenges), MCP "Authorization".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedResource:
    """`url` is the base address clients use, or None to go by what they asked for; `scopes` all there are."""

    authorization_servers: Sequence[str]
    scopes: Sequence[str]
    url: str | None = None

    @property
    def first_scopes(self) -> Sequence[str]:
        """What a client should ask for to begin with: reading. A write names what it needs when it is refused."""
        return [scope for scope in self.scopes if scope.endswith(":read")] or self.scopes

    def document(self, origin: str, path: str) -> dict[str, Any]:
        """The metadata of the resource at `path`, which is empty for the whole listener."""
        return {
            "resource": f"{self._base(origin)}{path}",
            "resource_name": "Gatelodge",
            "authorization_servers": list(self.authorization_servers),
            "scopes_supported": list(self.scopes),
            "bearer_methods_supported": ["header"],
        }

    def location(self, origin: str, path: str) -> str:
        """Where that document is: the well-known part goes between the host and the path (RFC 9728, 3.1)."""
        base = urlsplit(self._base(origin))
        return f"{base.scheme}://{base.netloc}{WELL_KNOWN}{base.path}{path}"

    def _base(self, origin: str) -> str:
        return (self.url or origin).rstrip("/")


def challenge(error: Literal["invalid_token", "insufficient_scope"] | None, text: str, scopes: Iterable[str]) -> str:
    """`WWW-Authenticate` for a 401 or 403; without an error there were no credentials, and `text` is left out.

    `scopes` are all that the next token should have: a client replaces its token by one with the scopes named here.
    """
    values = {"realm": "gatelodge"}
    if error is not None:
        values |= {"error": error, "error_description": text}
    if wanted := " ".join(sorted(scopes)):
        values["scope"] = wanted
    return "Bearer " + ", ".join(f'{name}="{_quotable(value)}"' for name, value in values.items())


def _quotable(value: str) -> str:
    """RFC 6750 allows printable ASCII without quotes and backslashes."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in value)

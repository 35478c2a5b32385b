"""The five MCP revisions, and what one has that another has not. Source: the JSON Schemas of the specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Revision:
    """`stateless` revisions carry version and capabilities in every request; the others open a session by `initialize`.

    `structures(schema)` says whether results of that shape may be structured: only objects before 2026-07-28.
    """

    name: str
    stateless: bool = False
    annotations: bool = True
    audio: bool = True
    structured: bool = True
    titles: bool = True
    links: bool = True
    elicitation: bool = True
    icons: bool = False
    urls: bool = False
    polling: bool = False
    any_structure: bool = False
    batches: bool = False
    input_errors_in_result: bool = False

    def structures(self, schema: Mapping[str, Any]) -> bool:
        return self.structured and (self.any_structure or schema.get("type") == "object")


_BEFORE_2025_06 = {"structured": False, "titles": False, "links": False, "elicitation": False}
_FROM_2025_11 = {"icons": True, "urls": True, "input_errors_in_result": True}

REVISIONS: Mapping[str, Revision] = {
    revision.name: revision
    for revision in (
        Revision("2026-07-28", stateless=True, any_structure=True, **_FROM_2025_11),
        Revision("2025-11-25", polling=True, **_FROM_2025_11),
        Revision("2025-06-18"),
        Revision("2025-03-26", batches=True, **_BEFORE_2025_06),
        Revision("2024-11-05", annotations=False, audio=False, **_BEFORE_2025_06),
    )
}
LATEST_SESSION = REVISIONS["2025-11-25"]


def negotiate(requested: object) -> Revision:
    """The revision an `initialize` is answered with: the requested one if it has sessions, else the latest that has."""
    revision = REVISIONS.get(requested) if isinstance(requested, str) else None
    return LATEST_SESSION if revision is None or revision.stateless else revision

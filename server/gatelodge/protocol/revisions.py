"""The five MCP revisions, and what one has that another has not. Source: the JSON Schemas of the specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Revision:
    """`stateless` revisions carry version and capabilities in every request; the others open a session by `initialize`."""

    name: str
    stateless: bool = False
    annotations: bool = True
    structured: bool = True
    batches: bool = False
    input_errors_in_result: bool = False


REVISIONS: Mapping[str, Revision] = {
    revision.name: revision
    for revision in (
        Revision("2026-07-28", stateless=True, input_errors_in_result=True),
        Revision("2025-11-25", input_errors_in_result=True),
        Revision("2025-06-18"),
        Revision("2025-03-26", structured=False, batches=True),
        Revision("2024-11-05", structured=False, annotations=False),
    )
}
LATEST_SESSION = REVISIONS["2025-11-25"]
STATELESS = tuple(revision for revision in REVISIONS.values() if revision.stateless)
SESSION = tuple(revision for revision in REVISIONS.values() if not revision.stateless)


def negotiate(requested: object) -> Revision:
    """The revision an `initialize` is answered with: the requested one if it has sessions, else the latest that has."""
    revision = REVISIONS.get(requested) if isinstance(requested, str) else None
    return LATEST_SESSION if revision is None or revision.stateless else revision

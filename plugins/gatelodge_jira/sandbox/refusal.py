"""How the sandbox says no, in Jira's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """An error reply. `errors` names fields; `messages` are of the whole request."""

    def __init__(self, status: int, *messages: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(*messages)
        self.status = status
        self.messages = messages
        self.errors = dict(errors or {})

    def body(self) -> dict[str, Any]:
        """`{errorMessages, errors}`, as every operation of Jira answers."""
        return {"errorMessages": list(self.messages), "errors": self.errors}


def no_issue() -> Refusal:
    """Also for an issue that one may not see."""
    return Refusal(404, "Issue does not exist or you do not have permission to see it.")

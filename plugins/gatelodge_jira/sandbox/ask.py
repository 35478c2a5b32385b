"""One request as the operations see it, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .change import Desk
from .refusal import Refusal
from .site import Issue, Site
from .wire import JSON, Face


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """`path` holds the variable parts of the address, `query` its parameters, a repeated one joined by commas."""

    site: Site
    face: Face
    user: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    @property
    def issue(self) -> Issue:
        """The issue in the address. Raises a 404 `Refusal`."""
        return self.site.find(self.path["issue"])

    @property
    def desk(self) -> Desk:
        return Desk(self.site, self.face, self.user)

    @property
    def given(self) -> JSON:
        """The body, which must be an object."""
        if not isinstance(self.body, dict):
            raise Refusal(400, "The request body must be a JSON object.")
        return self.body

    @property
    def asked(self) -> JSON:
        """The parameters of an operation that can be had by GET and by POST; lists and numbers as in the body."""
        return dict(self.query) if self.body is None else self.given

    def number(self, name: str, default: int) -> int:
        """A whole number of the query, not below nought."""
        return whole(name, self.query.get(name, default))

    def words(self, name: str) -> list[str]:
        """The parts of a comma-separated parameter."""
        return words(self.query.get(name))


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is JSON, or `None` for an answer without one."""

    status: int
    body: Any = None


Operation = Callable[[Ask], Reply]


def whole(name: str, given: Any) -> int:
    """Raises a 400 `Refusal`."""
    try:
        number = int(given)
    except (TypeError, ValueError):
        raise Refusal(400, f"The value '{given}' of '{name}' is not a whole number.") from None
    if number < 0:
        raise Refusal(400, f"The value of '{name}' must not be negative.")
    return number


def words(given: Any) -> list[str]:
    """A list of names, from JSON or from a comma-separated parameter. Raises a 400 `Refusal`."""
    if given is None:
        return []
    if isinstance(given, str):
        return [word.strip() for word in given.split(",") if word.strip()]
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        return given
    raise Refusal(400, "A list of strings is expected.")

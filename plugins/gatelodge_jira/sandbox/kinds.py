"""Kinds of fields: how a value of each is read from a request, written into an answer, and named in the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from . import wire
from .bodies import is_document, plain
from .refusal import Refusal
from .site import Site
from .wire import JSON, PERSONS, Face


class BadValue(ValueError):
    """A value that the field does not take; the message is for the field."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A value shown as it is, which no request may set."""

    type: str
    items: str | None = None

    def read(self, given: Any, face: Face, site: Site) -> Any:
        raise BadValue("Field cannot be set. It is not on the appropriate screen, or unknown.")

    def show(self, value: Any, face: Face) -> Any:
        return value

    def named(self, value: Any) -> tuple[str | None, str | None]:
        """The id, if it has one, and the words by which the history knows a value that is not `None`."""
        return None, str(value)

    def allowed(self, face: Face) -> list[JSON] | None:
        return None


class Text(Kind):
    """One line."""

    def read(self, given: Any, face: Face, site: Site) -> str | None:
        if given is not None and not isinstance(given, str):
            raise BadValue("Operation value must be a string")
        if given is not None and len(given) > 255:
            raise BadValue("Summary can't exceed 255 characters.")
        if given is not None and ("\n" in given or "\r" in given):
            raise BadValue("The summary is invalid because it contains newline characters.")
        return given or None


class Rich(Kind):
    """ADF by the third API, wiki text by the second; nothing, when it is empty."""

    def read(self, given: Any, face: Face, site: Site) -> Any:
        if given is None:
            return None
        if face.api == 3 and not is_document(given):
            raise BadValue("Operation value must be an Atlassian Document (see the Atlassian Document Format)")
        if face.api == 2 and not isinstance(given, str):
            raise BadValue("Operation value must be a string")
        return given or None

    def show(self, value: Any, face: Face) -> Any:
        return face.body(value)

    def named(self, value: Any) -> tuple[str | None, str | None]:
        return None, plain(value)


class Number(Kind):
    def read(self, given: Any, face: Face, site: Site) -> float | None:
        if given is None:
            return None
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise BadValue("Operation value must be a number")
        return float(given)


class Day(Kind):
    def read(self, given: Any, face: Face, site: Site) -> date | None:
        if given is None or given == "":
            return None
        try:
            return date.fromisoformat(given)
        except (TypeError, ValueError):
            raise BadValue(f"Error parsing date string: {given}") from None

    def show(self, value: Any, face: Face) -> Any:
        return value.isoformat()


class Moment(Kind):
    def show(self, value: Any, face: Face) -> Any:
        return wire.moment(value)


class Labels(Kind):
    def read(self, given: Any, face: Face, site: Site) -> tuple[str, ...]:
        if given is None:
            return ()
        if not isinstance(given, list) or not all(isinstance(label, str) for label in given):
            raise BadValue("Operation value must be an array of strings")
        for label in given:
            if not label or any(map(str.isspace, label)):
                raise BadValue(f"The label '{label}' contains spaces which is invalid.")
        return tuple(sorted(set(given)))

    def show(self, value: Any, face: Face) -> Any:
        return list(value)

    def named(self, value: Any) -> tuple[str | None, str | None]:
        return None, " ".join(value)


class User(Kind):
    """By account id in the Cloud, by name or key in a Data Center."""

    def read(self, given: Any, face: Face, site: Site) -> str | None:
        if given is None:
            return None
        if not isinstance(given, Mapping):
            raise BadValue("data was not an object")
        keys = ("accountId", "id") if face.cloud else ("name", "key")
        wanted = next((given[key] for key in keys if key in given), None)
        if wanted in (None, ""):
            if wanted is None and given and not any(key in given for key in keys):
                raise BadValue(f"'{keys[0]}' must be the only user identifying query parameter")
            return None
        for person in PERSONS.values():
            if wanted in ((person.account_id,) if face.cloud else (person.name, person.key)):
                return person.name
        raise BadValue(f"User '{wanted}' does not exist.")

    def show(self, value: Any, face: Face) -> Any:
        return wire.person(face, value)

    def named(self, value: Any) -> tuple[str | None, str | None]:
        return PERSONS[value].account_id, PERSONS[value].display_name


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of some names with ids, given as `{name}`, `{id}` or, for options, `{value}`."""

    ids: Mapping[str, str] | None = None
    write: Callable[[Face, str], JSON] | None = None
    by: str = "name"
    clearable: bool = True
    settable: bool = True

    def read(self, given: Any, face: Face, site: Site) -> str | None:
        if not self.settable:
            return Kind.read(self, given, face, site)  # type: ignore[no-any-return]
        if given is None and self.clearable:
            return None
        if not isinstance(given, Mapping) or not {self.by, "id"} & given.keys():
            raise BadValue(f"Could not find valid 'id' or '{self.by}' in the {self.type} object.")
        for name, id in (self.ids or {}).items():
            if given.get("id") == id or ("id" not in given and given.get(self.by) == name):
                return name
        raise BadValue(f"The {self.type} selected is invalid.")

    def show(self, value: Any, face: Face) -> Any:
        assert self.write is not None
        return self.write(face, value)

    def named(self, value: Any) -> tuple[str | None, str | None]:
        return (self.ids or {}).get(value), value

    def allowed(self, face: Face) -> list[JSON] | None:
        return [self.show(name, face) for name in self.ids or {}]


class Parent(Kind):
    """Another issue, by key or id."""

    def read(self, given: Any, face: Face, site: Site) -> str | None:
        if given is None:
            return None
        wanted = given.get("key", given.get("id")) if isinstance(given, Mapping) else None
        if not isinstance(wanted, str):
            raise BadValue("Could not find issue by id or key.")
        try:
            return site.find(wanted).key
        except Refusal:
            raise BadValue("Could not find issue by id or key.") from None

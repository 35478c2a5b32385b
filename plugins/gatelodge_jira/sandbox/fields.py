"""Every field of an issue, and reading the fields of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import wire
from .kinds import BadValue, Choice, Day, Kind, Labels, Moment, Number, Parent, Rich, Text, User
from .refusal import Refusal
from .site import Issue, Item, Site
from .wire import JSON, Face
from .world import ISSUE_TYPES, PRIORITIES, PROJECTS, RESOLUTIONS, ROOT_CAUSE, STATUSES, STORY_POINTS, TEAM, TEAMS

CUSTOM = "com.atlassian.jira.plugin.system.customfieldtypes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """`screens` names where it may be set: `create`, `edit`. `clauses` are its names in JQL beside the id."""

    id: str
    name: str
    kind: Kind
    screens: tuple[str, ...] = ("create", "edit")
    required: bool = False
    operations: tuple[str, ...] = ("set",)
    clauses: tuple[str, ...] = ()
    custom: str | None = None

    def schema(self) -> JSON:
        schema: JSON = {"type": self.kind.type}
        if self.kind.items:
            schema["items"] = self.kind.items
        if self.custom is None:
            return {**schema, "system": self.id}
        return {**schema, "custom": f"{CUSTOM}:{self.custom}", "customId": int(self.id.rpartition("_")[2])}

    def meta(self, face: Face, *, required: bool = False) -> JSON:
        """As createmeta, editmeta and transitions tell it."""
        meta: JSON = {
            "required": required,
            "schema": self.schema(),
            "name": self.name,
            "key": self.id,
            "hasDefaultValue": self.id == "priority",
            "operations": list(self.operations),
        }
        allowed = self.kind.allowed(face)
        return meta if allowed is None else {**meta, "allowedValues": allowed}

    def details(self, face: Face) -> JSON:
        """As the list of all fields tells it."""
        number = f"cf[{self.id.rpartition('_')[2]}]"
        clauses = (number, self.name) if self.custom else self.clauses or (self.id,)
        shown: JSON = {
            "id": self.id,
            "name": self.name,
            "custom": self.custom is not None,
            "orderable": bool(self.screens),
            "navigable": True,
            "searchable": True,
            "clauseNames": list(clauses),
            "schema": self.schema(),
        }
        return {**shown, "key": self.id} if face.cloud else shown


def _ids(named: Mapping[str, Any]) -> dict[str, str]:
    return {name: thing.id for name, thing in named.items()}


ALL = (
    Field(id="summary", name="Summary", kind=Text("string"), required=True),
    Field(
        id="project",
        name="Project",
        kind=Choice("project", None, {key: it.id for key, it in PROJECTS.items()}, wire.named_project, "key", False),
        screens=("create",),
        required=True,
    ),
    Field(
        id="issuetype",
        name="Issue Type",
        kind=Choice("issuetype", None, _ids(ISSUE_TYPES), wire.named_issue_type, "name", False),
        required=True,
        operations=(),
        clauses=("issuetype", "type"),
    ),
    Field(id="description", name="Description", kind=Rich("string")),
    Field(id="environment", name="Environment", kind=Rich("string")),
    Field(id="priority", name="Priority", kind=Choice("priority", None, PRIORITIES, wire.priority, "name", False)),
    Field(id="assignee", name="Assignee", kind=User("user")),
    Field(id="reporter", name="Reporter", kind=User("user")),
    Field(id="labels", name="Labels", kind=Labels("array", "string"), operations=("add", "set", "remove")),
    Field(id="duedate", name="Due date", kind=Day("date"), clauses=("due", "duedate")),
    Field(id="parent", name="Parent", kind=Parent("issuelink")),
    Field(id=STORY_POINTS, name="Story Points", kind=Number("number"), custom="float"),
    Field(id=TEAM, name="Team", kind=Choice("option", None, TEAMS, wire.team, "value"), custom="select"),
    Field(id=ROOT_CAUSE, name="Root Cause", kind=Rich("string"), screens=("edit",), custom="textarea"),
    Field(
        id="resolution",
        name="Resolution",
        kind=Choice("resolution", None, RESOLUTIONS, wire.resolution, "name", False),
        screens=(),
    ),
    Field(
        id="status",
        name="Status",
        kind=Choice("status", None, _ids(STATUSES), wire.named_status, settable=False),
        screens=(),
    ),
    Field(id="creator", name="Creator", kind=User("user"), screens=()),
    Field(id="created", name="Created", kind=Moment("datetime"), screens=(), clauses=("created", "createdDate")),
    Field(id="updated", name="Updated", kind=Moment("datetime"), screens=(), clauses=("updated", "updatedDate")),
    Field(
        id="resolutiondate",
        name="Resolved",
        kind=Moment("datetime"),
        screens=(),
        clauses=("resolutiondate", "resolved"),
    ),
    Field(id="comment", name="Comment", kind=Kind("comments-page"), screens=("comment",), operations=("add",)),
    Field(id="issuelinks", name="Linked Issues", kind=Kind("array", "issuelinks"), screens=()),
    Field(id="subtasks", name="Sub-tasks", kind=Kind("array", "issuelinks"), screens=()),
)
FIELDS = {field.id: field for field in ALL}
KEPT = tuple(field.id for field in ALL if field.id not in ("comment", "issuelinks", "subtasks"))
"""The fields that an issue's `values` may hold."""


def screen(name: str) -> list[str]:
    """The ids of the fields that may be set on the `create` or the `edit` screen."""
    return [field.id for field in ALL if name in field.screens]


def read_fields(given: Mapping[str, Any], allowed: Iterable[str], face: Face, site: Site) -> dict[str, Any]:
    """The values of a request's `fields`, by id. Raises a 400 `Refusal` that names each bad one."""
    on_screen, values, errors = set(allowed), {}, {}
    for id, value in given.items():
        if id not in on_screen:
            errors[id] = f"Field '{id}' cannot be set. It is not on the appropriate screen, or unknown."
            continue
        try:
            values[id] = FIELDS[id].kind.read(value, face, site)
        except BadValue as bad:
            errors[id] = str(bad)
    if errors:
        raise Refusal(400, errors=errors)
    return values


def read_update(
    given: Mapping[str, Any], issue: Issue | None, allowed: Iterable[str], face: Face, site: Site
) -> dict[str, Any]:
    """The values that a request's `update` comes to: lists of operations by field; comments are not of it."""
    fields: dict[str, Any] = {}
    for id, operations in given.items():
        if not isinstance(operations, list) or not all(isinstance(one, dict) and len(one) == 1 for one in operations):
            raise Refusal(400, errors={id: "data was not an array"})
        if id in FIELDS:
            current = issue.values.get(id) if issue else None
            fields[id] = None if current is None else FIELDS[id].kind.show(current, face)
        for operation in operations:
            fields[id] = _operated(id, fields.get(id), operation)
    return read_fields(fields, allowed, face, site)


def _operated(id: str, current: Any, operation: Mapping[str, Any]) -> Any:
    ((verb, value),) = operation.items()
    if id in FIELDS and verb not in FIELDS[id].operations:
        raise Refusal(400, errors={id: f"Field with id '{id}' does not support operation '{verb}'"})
    match verb:
        case "add":
            return [*(current or []), value]
        case "remove":
            return [one for one in current or [] if one != value]
        case _:
            return value


def changes(issue: Issue, values: Mapping[str, Any]) -> list[Item]:
    """What the history says of setting these values: nothing of those that stay the same."""
    return [
        _item(FIELDS[id], issue.values.get(id), value) for id, value in values.items() if _differs(issue, id, value)
    ]


def absent(value: Any) -> bool:
    """Whether a field with this value is EMPTY; nought is a number."""
    return value is None or value in ((), "")


def _differs(issue: Issue, id: str, value: Any) -> bool:
    before = issue.values.get(id)
    return before != value and not (absent(before) and absent(value))


def _item(field: Field, before: Any, after: Any) -> Item:
    old_id, old_text = (None, None) if absent(before) else field.kind.named(before)
    new_id, new_text = (None, None) if absent(after) else field.kind.named(after)
    return Item(
        field=field.name if field.custom else field.id,
        field_id=field.id,
        custom=field.custom is not None,
        before=old_id,
        before_text=old_text,
        after=new_id,
        after_text=new_text,
    )

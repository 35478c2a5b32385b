"""Creating, editing and moving issues: what a request asks for, checked as a whole, then done as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .fields import KEPT, changes, read_fields, read_update, screen
from .kinds import BadValue, Rich
from .refusal import Refusal
from .site import Body, Comment, Issue, Site
from .wire import JSON, PERSONS, Face
from .world import ISSUE_TYPES, LINK_TYPES, PROJECTS, RESOLUTIONS, STATUSES, LinkType, Project, Step

COMMENT = "comment"
LONGEST_COMMENT = 32_767


@dataclass(frozen=True, slots=True)
class Said:
    """A comment that a request brings."""

    body: Body
    visibility: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one request's changes are made: on a site, in an API's words, by a person."""

    site: Site
    face: Face
    user: str

    def create(self, body: JSON) -> Issue:
        """Raises `Refusal` with the fields that are missing or bad."""
        project, kind = self._place(body)
        values, said = self._read(body, screen("create"), None)
        self._complete(values, kind)
        values = {**dict.fromkeys(KEPT), "priority": "Medium", **values}
        values["reporter"] = values["reporter"] or self.user
        properties = _properties(body)
        issue = self.site.create(project, values, self.user)
        issue.properties.update(properties)
        self._say(issue, said)
        return issue

    def edit(self, issue: Issue, body: JSON) -> None:
        """Transitions in the body are passed over, as Jira does."""
        values, said = self._read(body, screen("edit"), issue)
        if "summary" in values and not values["summary"]:
            raise Refusal(400, errors={"summary": "You must specify a summary of the issue."})
        if values.get("issuetype") not in (None, *issue.project.issue_types):
            raise Refusal(400, errors={"issuetype": "The issue type selected is invalid."})
        self._apply(issue, values)
        self._say(issue, said)

    def move(self, issue: Issue, body: JSON) -> None:
        """Take a transition, with the fields of its screen."""
        step = self._step(issue, body.get("transition"))
        values, said = self._read(body, step.screen, issue)
        missing = [id for id in step.required if not values.get(id)]
        if missing:
            raise Refusal(400, errors={id: f"{id.capitalize()} is required." for id in missing})
        self._apply(issue, {**values, **self._outcome(issue, step, values)})
        self._say(issue, said)

    def steps(self, issue: Issue) -> list[Step]:
        """The transitions that this person may take now."""
        lead = issue.project.lead == self.user
        return [step for step in issue.project.steps_from(issue.status) if lead or not step.lead_only]

    def comment(self, issue: Issue, body: JSON) -> Comment:
        said = self._said(body)
        return self.site.comment(issue, said.body, self.user, said.visibility, _properties(body))

    def link(self, body: JSON) -> None:
        """`inwardIssue` does to `outwardIssue` what the outward phrase says. A comment goes to the inward issue."""
        kind = _link_type(body.get("type"))
        source, target = self._end(body, "inwardIssue"), self._end(body, "outwardIssue")
        if source is target:
            raise Refusal(400, "You cannot link an issue to itself.")
        said = self._said(body["comment"]) if body.get("comment") else None
        self.site.link(kind, source, target)
        self._say(source, [said] if said else [])

    def _place(self, body: JSON) -> tuple[Project, str]:
        """The project and the type of a new issue."""
        fields = body.get("fields")
        if not isinstance(fields, dict):
            raise Refusal(400, errors={"project": "Specify a valid project ID or key"})
        asked = {id: fields[id] for id in ("project", "issuetype") if id in fields}
        errors = {}
        if "project" not in asked:
            errors["project"] = "Specify a valid project ID or key"
        if "issuetype" not in asked:
            errors["issuetype"] = "Specify an issue type"
        if errors:
            raise Refusal(400, errors=errors)
        values = read_fields(asked, asked, self.face, self.site)
        project = PROJECTS[values["project"]]
        if values["issuetype"] not in project.issue_types:
            raise Refusal(400, errors={"issuetype": "Specify a valid issue type"})
        return project, values["issuetype"]

    def _complete(self, values: Mapping[str, Any], kind: str) -> None:
        errors = {}
        if not values.get("summary") or values["summary"].isspace():
            errors["summary"] = "You must specify a summary of the issue."
        if ISSUE_TYPES[kind].level < 0 and not values.get("parent"):
            errors["parent"] = "Issue type is a sub-task but parent issue key or id not specified."
        if errors:
            raise Refusal(400, errors=errors)

    def _read(self, body: JSON, allowed: Iterable[str], issue: Issue | None) -> tuple[dict[str, Any], list[Said]]:
        """The values and the comments of a body with `fields` and `update`."""
        fields, update = _object(body, "fields"), _object(body, "update")
        if both := fields.keys() & update.keys():
            name = min(both)
            raise Refusal(400, errors={name: f"Field '{name}' cannot appear in both 'fields' and 'update'"})
        said = [self._said(one) for one in _added(update.get(COMMENT, []))]
        others = {id: operations for id, operations in update.items() if id != COMMENT}
        values = read_fields(fields, allowed, self.face, self.site)
        return {**values, **read_update(others, issue, allowed, self.face, self.site)}, said

    def _apply(self, issue: Issue, values: Mapping[str, Any]) -> None:
        items = changes(issue, values)
        issue.values.update(values)
        self.site.record(issue, [item for item in items if item.field_id != "resolutiondate"], self.user)

    def _outcome(self, issue: Issue, step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the workflow itself sets: the status, and the resolution where something ends or begins again."""
        if STATUSES[step.to].category != "done":
            return {"status": step.to, "resolution": None, "resolutiondate": None}
        was_done = STATUSES[issue.status].category == "done"
        resolution = values.get("resolution") or (issue.values["resolution"] if was_done else next(iter(RESOLUTIONS)))
        at = issue.values["resolutiondate"] if was_done else self.site.now()
        return {"status": step.to, "resolution": resolution, "resolutiondate": at}

    def _step(self, issue: Issue, asked: Any) -> Step:
        if not isinstance(asked, Mapping) or not asked.get("id"):
            raise Refusal(400, "Missing 'transition' identifier")
        for step in self.steps(issue):
            if step.id == str(asked["id"]):
                return step
        if any(step.id == str(asked["id"]) for step in issue.project.steps):
            raise Refusal(
                400,
                "It seems that you have tried to perform a workflow operation that is not valid for the current state "
                f"of this issue ({issue.key}). The likely cause is that somebody has changed the issue recently, or "
                "that you do not have the permission.",
            )
        raise Refusal(400, f"Transition id '{asked['id']}' is not valid for this issue.")

    def _said(self, given: Any) -> Said:
        if not isinstance(given, Mapping):
            raise Refusal(400, errors={COMMENT: "data was not an object"})
        try:
            body = Rich("string").read(given.get("body"), self.face, self.site)
        except BadValue as bad:
            raise Refusal(400, errors={COMMENT: str(bad)}) from None
        if not body or (isinstance(body, dict) and not body.get("content")):
            raise Refusal(400, errors={COMMENT: "Comment body can not be empty!"})
        if len(str(body)) > LONGEST_COMMENT:
            raise Refusal(400, errors={COMMENT: f"The entered text is too long. It exceeds {LONGEST_COMMENT}."})
        return Said(body, given.get("visibility"))

    def _say(self, issue: Issue, said: Iterable[Said]) -> None:
        for one in said:
            self.site.comment(issue, one.body, self.user, one.visibility)

    def _end(self, body: JSON, name: str) -> Issue:
        given = body.get(name)
        asked = given.get("key", given.get("id")) if isinstance(given, Mapping) else None
        if not isinstance(asked, str):
            raise Refusal(400, errors={name: f"The '{name}' must be given by 'key' or 'id'."})
        return self.site.find(asked)


def may_delete(issue: Issue, user: str) -> bool:
    """Only the lead of a project deletes what is in it."""
    return issue.project.lead == PERSONS[user].name


def _object(body: JSON, name: str) -> dict[str, Any]:
    given = body.get(name)
    if given is not None and not isinstance(given, dict):
        raise Refusal(400, f"Can not deserialize value of '{name}': an object is expected.")
    return given or {}


def _added(operations: Any) -> list[Any]:
    """What a list of `add` operations adds; comments take no other."""
    if not isinstance(operations, list) or not all(isinstance(one, dict) and set(one) == {"add"} for one in operations):
        raise Refusal(400, errors={COMMENT: f"Field with id '{COMMENT}' does not support this operation"})
    return [one["add"] for one in operations]


def _link_type(given: Any) -> LinkType:
    asked = given if isinstance(given, Mapping) else {}
    for kind in LINK_TYPES.values():
        if asked.get("id") == kind.id or (
            "id" not in asked and str(asked.get("name", "")).lower() == kind.name.lower()
        ):
            return kind
    raise Refusal(404, f"No issue link type with name '{asked.get('name', asked.get('id'))}' found.")


def _properties(body: JSON) -> dict[str, Any]:
    """The entity properties that what is made shall have, by key."""
    given = body.get("properties") or []
    if not isinstance(given, list) or not all(
        isinstance(one, dict) and isinstance(one.get("key"), str) for one in given
    ):
        raise Refusal(400, "The 'properties' must be a list of keys and values.")
    return {one["key"]: one.get("value") for one in given}

"""An issue as a model reads it: the fields that say something, in short forms, rich text as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .api import JiraAPI
from .documents import to_markdown

SUMMARY_FIELDS = [
    "summary",
    "status",
    "issuetype",
    "priority",
    "assignee",
    "reporter",
    "labels",
    "created",
    "updated",
    "duedate",
    "resolution",
]
DETAIL_FIELDS = [
    *SUMMARY_FIELDS,
    *[
        "project",
        "description",
        "environment",
        "parent",
        "components",
        "fixVersions",
        "versions",
        "issuelinks",
        "subtasks",
        "resolutiondate",
    ],
    "*navigable",
]
NOISE = frozenset(
    [
        "worklog",
        "comment",
        "attachment",
        "votes",
        "watches",
        "progress",
        "aggregateprogress",
        "timetracking",
        "statuscategorychangedate",
        "lastViewed",
        "workratio",
        "thumbnail",
        "issuerestriction",
        "statusCategory",
        "security",
    ]
)
LONGEST_TEXT = 30_000


def shape_issue(api: JiraAPI, issue: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """`{key, id, url, fields}`, with `names` of custom fields that are there and `truncated` fields that were cut."""
    fields, truncated = {}, []
    for name, value in (issue.get("fields") or {}).items():
        if value is None or value == [] or name in NOISE:
            continue
        short = shorten(value)
        if isinstance(short, str) and len(short) > LONGEST_TEXT:
            short = short[:LONGEST_TEXT]
            truncated.append(name)
        fields[name] = short
    shaped = {"key": issue["key"], "id": str(issue["id"]), "url": api.browse(issue["key"]), "fields": fields}
    custom = {name: names[name] for name in fields if name.startswith("customfield_") and name in names}
    if custom:
        shaped["names"] = custom
    if truncated:
        shaped["truncated"] = truncated
    return shaped


def shorten(value: Any) -> Any:
    """The short form of a field's value; what has none stays as it is."""
    if isinstance(value, list):
        return [shorten(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("type") == "doc":
        return to_markdown(value)
    for belongs, short in SHORT_FORMS:
        if belongs(value):
            return short(value)
    return dict(value)


def _user(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": value.get("accountId") or value.get("name"), "name": value.get("displayName")}


def _status(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": value["name"], "category": value["statusCategory"].get("key")}


def _link(value: Mapping[str, Any]) -> dict[str, Any]:
    outward = "outwardIssue" in value
    other = value["outwardIssue" if outward else "inwardIssue"]
    phrase = value["type"]["outward" if outward else "inward"]
    return {"id": value["id"], "type": value["type"]["name"], "phrase": phrase, **_other_issue(other)}


def _other_issue(value: Mapping[str, Any]) -> dict[str, Any]:
    fields = value.get("fields") or {}
    status = (fields.get("status") or {}).get("name")
    return {"key": value["key"]} | {k: v for k, v in (("summary", fields.get("summary")), ("status", status)) if v}


def _option(value: Mapping[str, Any]) -> Any:
    child = value.get("child")
    return f"{value['value']} / {child['value']}" if isinstance(child, Mapping) else value["value"]


Value = Mapping[str, Any]
SHORT_FORMS: tuple[tuple[Callable[[Value], bool], Callable[[Value], Any]], ...] = (
    (lambda value: "displayName" in value, _user),
    (lambda value: "statusCategory" in value, _status),
    (lambda value: "outwardIssue" in value or "inwardIssue" in value, _link),
    (lambda value: "projectTypeKey" in value or "avatarUrls" in value, lambda value: value.get("key")),
    (lambda value: "key" in value and "fields" in value, _other_issue),
    (lambda value: "value" in value, _option),
    (lambda value: "name" in value, lambda value: value["name"]),
)


def shape_history(histories: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Changes in the order they happened."""
    return [
        {
            "at": history["created"],
            "author": (history.get("author") or {}).get("displayName"),
            "changes": [
                {"field": item["field"], "from": item.get("fromString"), "to": item.get("toString")}
                for item in history["items"]
            ],
        }
        for history in histories
    ]


def shape_comments(page: Mapping[str, Any]) -> dict[str, Any]:
    comments = [
        {
            "id": item["id"],
            "author": (item.get("author") or {}).get("displayName"),
            "created": item["created"],
            "body": to_markdown(item["body"]),
        }
        for item in page["comments"]
    ]
    return {"total": page["total"], "newest_first": comments, "truncated": page["total"] > len(comments)}


def shape_transition(transition: Mapping[str, Any]) -> dict[str, Any]:
    """A transition with the fields of its screen; `required` ones without a default must be given."""
    fields = [
        {
            "id": name,
            "name": field.get("name", name),
            "type": (field.get("schema") or {}).get("type", "any"),
            "required": bool(field.get("required")) and not field.get("hasDefaultValue"),
            "allowed": [shorten(value) for value in (field.get("allowedValues") or [])[:50]],
        }
        for name, field in (transition.get("fields") or {}).items()
    ]
    return {
        "id": transition["id"],
        "name": transition["name"],
        "to_status": transition["to"]["name"],
        "to_category": (transition["to"].get("statusCategory") or {}).get("key"),
        "fields": fields,
    }

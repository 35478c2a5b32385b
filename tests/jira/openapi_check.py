"""Exchanges held against Atlassian's description of Jira Cloud's REST API v3."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

from gatelodge_jira.sandbox.record import Recorded

DESCRIPTION = Path(__file__).parent / "openapi" / "jira-cloud-openapi.json"
NULLS = {"ChangeDetails": ("from", "fromString", "to", "toString")}
"""Where Jira itself answers null though its description does not say so."""
ERROR = {"$ref": "#/components/schemas/ErrorCollection"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address, as described."""

    path: re.Pattern[str]
    method: str
    described: Mapping[str, Any]


class OpenAPICheck:
    """A `Check` for the sandbox: it collects in `violations` what does not fit, one line each.

    Only the third API is described. An operation that is not described, an unknown or ill-typed parameter, a body or a
    reply against its schema, a success with an undescribed status and an error not in Jira's shape are violations. A
    request that the sandbox refused may have been bad on purpose, and is not held against the description.
    """

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.seen: set[str] = set()

    def __call__(self, request: Recorded, status: int, reply: Any) -> None:
        path = re.sub(r"^/ex/jira/[^/]+", "", request.path)
        if not path.startswith("/rest/api/3/"):
            return
        operation = _operation(request.method, path)
        line = f"{request.method} {path} ({status})"
        if operation is None:
            self.violations.append(f"{line}: no such operation is described")
            return
        self.seen.add(operation.described["operationId"])
        problems = [*_of_reply(operation, status, reply)]
        if status < 400:
            problems += [*_of_query(operation, request.query), *_of_body(operation, request.body)]
        self.violations += [f"{line}: {problem}" for problem in problems]


def _of_query(operation: Operation, query: Mapping[str, str]) -> Iterator[str]:
    known = {one["name"]: one for one in operation.described.get("parameters", []) if one["in"] == "query"}
    for name, parameter in known.items():
        if parameter.get("required") and name not in query:
            yield f"the parameter {name} is missing"
    for name, value in query.items():
        if name not in known:
            yield f"the parameter {name} is not described"
        else:
            yield from (
                f"the parameter {name}: {error}" for error in _errors(known[name]["schema"], _typed(known[name], value))
            )


def _typed(parameter: Mapping[str, Any], value: str) -> Any:
    """A parameter's text as what its schema says it is."""
    match parameter["schema"].get("type"):
        case "integer" if value.lstrip("-").isdecimal():
            return int(value)
        case "boolean" if value in ("true", "false"):
            return value == "true"
        case "array":
            return [_typed({"schema": parameter["schema"]["items"]}, one) for one in value.split(",")]
        case _:
            return value


def _of_body(operation: Operation, body: Any) -> Iterator[str]:
    described = operation.described.get("requestBody")
    if described is None:
        if body is not None:
            yield "a body is not described"
    elif body is not None or described.get("required"):
        schema = described["content"]["application/json"]["schema"]
        yield from (f"the body: {error}" for error in _errors(schema, body))


def _of_reply(operation: Operation, status: int, reply: Any) -> Iterator[str]:
    if status >= 400:
        yield from (f"the error: {error}" for error in _errors(ERROR, reply))
        return
    described = operation.described["responses"].get(str(status))
    if described is None:
        yield "the status is not described"
        return
    schema = described.get("content", {}).get("application/json", {}).get("schema")
    if schema:
        yield from (f"the reply: {error}" for error in _errors(schema, reply))
    elif reply is not None:
        yield "a reply with a body is not described"


def _errors(schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    validator = _validator(json.dumps(schema, sort_keys=True))
    plain = json.loads(json.dumps(value))
    for error in validator.iter_errors(plain):
        yield f"{'/'.join(map(str, error.instance_path))}: {error.message[:200]}"


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": _description()["components"]})


def _operation(method: str, path: str) -> Operation | None:
    """Literal addresses come before those with variables."""
    return next((one for one in operations() if one.method == method and one.path.fullmatch(path)), None)


@cache
def operations() -> list[Operation]:
    """All that are described."""
    paths = sorted(_description()["paths"].items(), key=lambda item: item[0].count("{"))
    return [
        Operation(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), method.upper(), described)
        for path, methods in paths
        for method, described in methods.items()
    ]


@cache
def _description() -> dict[str, Any]:
    description: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    for name, properties in NULLS.items():
        for one in properties:
            description["components"]["schemas"][name]["properties"][one]["nullable"] = True
    _translate(description)
    return description


def _translate(node: Any) -> None:
    """OpenAPI's `nullable` in JSON Schema's words; and a union may have the properties of its parts."""
    if isinstance(node, dict):
        if node.pop("nullable", False) is True:
            node["type"] = [node["type"], "null"]
        if "anyOf" in node:
            node.pop("additionalProperties", None)
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            _translate(one)

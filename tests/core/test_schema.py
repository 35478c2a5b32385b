"""marshmallow in, JSON Schema 2020-12 out: what the two accept is the same, and a refusal names the field."""

from __future__ import annotations

import time
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import Schema, fields, validate

from gatelodge import ErrorCode, ToolError
from gatelodge.schema import MOST_WRONG, checker, json_schema, loader


class Inner(Schema):
    name = fields.String(required=True, validate=validate.Length(min=1, max=3))
    level = fields.Integer(strict=True, allow_none=True, validate=validate.Range(min=0, max_inclusive=False, max=5))


class Outer(Schema):
    """Every kind of field that the plugins use."""

    text = fields.String(validate=validate.Regexp(r"^[a-c]+$"))
    whole = fields.Integer(strict=True, validate=validate.Range(min=1, max=10))
    part = fields.Float(validate=validate.Range(min=0, min_inclusive=False))
    flag = fields.Boolean(truthy={True}, falsy={False})
    choice = fields.String(validate=validate.OneOf(["a", "b"]), allow_none=True)
    some = fields.List(fields.String(), validate=validate.ContainsOnly(["x", "y"]))
    many = fields.List(fields.Nested(Inner), validate=validate.Length(max=2))
    inner = fields.Nested(Inner)
    anything = fields.Dict(keys=fields.String())
    pair = fields.Tuple((fields.String(), fields.Boolean(truthy={True}, falsy={False})))


PLAUSIBLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 12),
    st.floats(-1, 11, allow_nan=False),
    st.sampled_from(["", "a", "b", "abc", "abcd", "d", "x", "5", "true"]),
    st.lists(st.sampled_from(["x", "y", "z", 1]), max_size=3),
    st.fixed_dictionaries({}, optional={"name": st.sampled_from(["", "ab", "abcd"]), "level": st.integers(-1, 6)}),
    st.lists(st.fixed_dictionaries({"name": st.just("a")}, optional={"level": st.none()}), max_size=3),
    st.tuples(st.text(max_size=2), st.booleans()).map(list),
)
ARGUMENTS = st.dictionaries(st.sampled_from([*Outer().fields, "other"]), PLAUSIBLE, max_size=4)

load = loader(Outer)
validator = jsonschema_rs.Draft202012Validator(json_schema(Outer))


@settings(max_examples=400, deadline=None)
@given(ARGUMENTS)
def test_what_the_schema_promises_is_what_is_taken(arguments: dict[str, Any]) -> None:
    """Arguments pass exactly when the published JSON Schema allows them."""
    if validator.is_valid(arguments):
        load(arguments)
        return
    with pytest.raises(ToolError) as caught:
        load(arguments)
    assert caught.value.code is ErrorCode.VALIDATION_ERROR
    assert caught.value.details["fields"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"other": 1}, "other"),
        ({"whole": "5"}, "whole"),
        ({"whole": 5.5}, "whole"),
        ({"whole": 11}, "whole"),
        ({"inner": {}}, "inner.name"),
        ({"many": [{"name": "a"}, {"name": "abcd"}]}, "many.1.name"),
        ({"text": "a\x00"}, "text"),
        ({"anything": {"deep": ["\ud800"]}}, "anything.deep.0"),
        ({"anything": {"\x00": 1}}, "anything.key"),
    ],
)
def test_a_refusal_names_the_field(arguments: dict[str, Any], field: str) -> None:
    """By its path, for unknown, missing and wrong ones, and for strings that no store can hold."""
    with pytest.raises(ToolError) as caught:
        load(arguments)
    assert field in caught.value.details["fields"]


def test_an_unknown_argument_is_met_with_the_nearest_name() -> None:
    """So that a model corrects itself in one step."""
    with pytest.raises(ToolError, match="did you mean whole"):
        load({"hole": 1})


@pytest.mark.parametrize(
    "arguments",
    [
        {f"k{number}": 1 for number in range(60_000)},
        {"n" * 1_000_000: 1},
        {"some": [1] * 200_000},
        {"some": ["\x00"] * 200_000},
        {"anything": {"x": "\x00" * 1_000_000}},
        {"text": "z" * 1_000_000},
    ],
    ids=["names", "long name", "items", "bad strings", "bad string", "long value"],
)
def test_a_refusal_is_small_and_cheap_whatever_is_sent(arguments: dict[str, Any]) -> None:
    """Neither its size nor its price goes with the number of faults: others wait while this process looks for them."""
    started = time.process_time()
    with pytest.raises(ToolError) as refusal:
        load(arguments)
    assert time.process_time() - started < 1.0
    assert len(refusal.value.details["fields"]) <= MOST_WRONG
    assert len(repr(refusal.value.details)) + len(refusal.value.message) < 10_000


def test_a_schema_written_elsewhere_is_taken_as_it_is() -> None:
    """A plugin may bring JSON Schema; one that is not valid stops it at start-up."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert loader(schema)({"a": 1}) == {"a": 1}
    with pytest.raises(ToolError):
        loader(schema)({})
    with pytest.raises(ValueError, match="no such type"):
        loader({"type": "no such type"})


def test_a_result_that_breaks_its_schema_is_told_with_its_path() -> None:
    """The server never sends it."""
    with pytest.raises(ValueError, match=r"rows\.0"):
        checker({"properties": {"rows": {"items": {"type": "integer"}}}})({"rows": ["x"]})


class Node(Schema):
    children = fields.List(fields.Nested(lambda: Node()))


def test_a_recursive_schema_refers_to_itself() -> None:
    """By `$defs`, and the loader follows it down."""
    assert "$defs" in json_schema(Node)
    load_node = loader(Node)
    assert load_node({"children": [{"children": []}]})
    with pytest.raises(ToolError):
        load_node({"children": [{"children": [{"kids": []}]}]})

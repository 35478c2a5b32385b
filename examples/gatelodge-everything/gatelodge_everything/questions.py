"""Tools and a prompt that ask: the user by form and page, the client's model, its roots."""

from __future__ import annotations

from typing import Any

import msgspec
from marshmallow import Schema, fields

from gatelodge import (
    Answer,
    Call,
    Completion,
    Form,
    ListRoots,
    Message,
    OpenURL,
    Prompt,
    Question,
    Result,
    Sample,
    Text,
)

from .tools import tool


class PromptArgument(Schema):
    prompt = fields.String(required=True)


class MessageArgument(Schema):
    message = fields.String(required=True)


class NameForm(Schema):
    name = fields.String(required=True)


class ColorForm(Schema):
    color = fields.String(required=True)


class OkForm(Schema):
    ok = fields.Boolean(required=True)


class ContextForm(Schema):
    context = fields.String(required=True)


class UserForm(Schema):
    username = fields.String(required=True, metadata={"description": "User's response"})
    email = fields.String(required=True, metadata={"description": "User's email address"})


DEFAULTS_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
OPTIONS = ["option1", "option2", "option3"]
ENUMS_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": OPTIONS},
        "titledSingle": {
            "type": "string",
            "oneOf": [
                {"const": "value1", "title": "First Option"},
                {"const": "value2", "title": "Second Option"},
                {"const": "value3", "title": "Third Option"},
            ],
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
        "titledMulti": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"const": "value1", "title": "First Choice"},
                    {"const": "value2", "title": "Second Choice"},
                    {"const": "value3", "title": "Third Choice"},
                ]
            },
        },
    },
}

NAME = Form("What is your name?", NameForm)


def question(text: str, max_tokens: int = 100) -> Sample:
    return Sample(messages=(Message("user", Text(text)),), max_tokens=max_tokens)


def said(text: str) -> Result:
    return Result(content=(Text(text),))


def text_of(completion: Completion) -> str:
    return " ".join(block.text for block in completion.content if isinstance(block, Text))


def shown(answer: Answer) -> str:
    return f"action={answer.action}, content={msgspec.json.encode(answer.content).decode()}"


async def sample(call: Call) -> Result:
    completion = await call.ask("answer", question(call.arguments["prompt"]))
    return said(f"LLM response: {text_of(completion)}")


async def elicit(call: Call) -> Result:
    answer = await call.ask("user", Form(call.arguments["message"], UserForm))
    return said(f"User response: {shown(answer)}")


async def elicit_url(call: Call) -> Result:
    answer = await call.ask("page", OpenURL("Please sign in", "https://example.com/sign-in"))
    return said(f"User response: {answer.action}")


async def elicit_defaults(call: Call) -> Result:
    return said(f"Elicitation completed: {shown(await call.ask('all', Form('Please check', DEFAULTS_FORM)))}")


async def elicit_enums(call: Call) -> Result:
    return said(f"Elicitation completed: {shown(await call.ask('all', Form('Please choose', ENUMS_FORM)))}")


async def streaming_elicit(call: Call) -> Result:
    await call.progress(0, 1)
    answer = await call.ask("user_name", NAME)
    return said(f"Hello, {answer.content.get('name', 'nobody')}!")


async def ask_name(call: Call) -> Result:
    answer = await call.ask("user_name", NAME)
    return said(f"Hello, {answer.content.get('name', 'nobody')}!")


async def ask_model(call: Call) -> Result:
    return said(text_of(await call.ask("capital_question", question("What is the capital of France?"))))


async def ask_roots(call: Call) -> Result:
    roots = await call.ask("client_roots", ListRoots())
    return said(f"Roots: {', '.join(root.uri for root in roots)}")


async def ask_ok(call: Call) -> Result:
    answer = await call.ask("confirm", Form("Please confirm", OkForm))
    return said(f"state-ok: {shown(answer)}")


async def ask_three(call: Call) -> Result:
    answers = await call.ask_all(
        {"user_name": NAME, "greeting": question("Generate a greeting", 50), "client_roots": ListRoots()}
    )
    return said(f"{text_of(answers['greeting'])} {answers['user_name'].content} {len(answers['client_roots'])}")


async def ask_twice(call: Call) -> Result:
    name = await call.ask("step1", Form("Step 1: What is your name?", NameForm))
    color = await call.ask("step2", Form("Step 2: What is your favorite color?", ColorForm))
    return said(f"{name.content.get('name')} likes {color.content.get('color')}")


async def ask_what_is_possible(call: Call) -> Result:
    possible: dict[str, Question[Any]] = {"user_name": NAME, "greeting": question("Generate a greeting")}
    asked = {key: item for key, item in possible.items() if call.can_ask(type(item))}
    return said(f"{len(await call.ask_all(asked))} answers")


async def prompt(call: Call) -> Result:
    answer = await call.ask("user_context", Form("What context should the prompt use?", ContextForm))
    return Result(content=(Message("user", Text(f"Context: {answer.content.get('context')}")),))


TOOLS = (
    tool("test_sampling", "Asks the client's model.", sample, PromptArgument),
    tool("test_elicitation", "Asks the user by a form.", elicit, MessageArgument),
    tool("test_elicitation_url", "Asks the user to visit a page.", elicit_url),
    tool("test_elicitation_sep1034_defaults", "Asks by a form with defaults.", elicit_defaults),
    tool("test_elicitation_sep1330_enums", "Asks by a form of choices.", elicit_enums),
    tool("test_streaming_elicitation", "Reports progress, then asks.", streaming_elicit),
    tool("test_missing_capability", "Needs a client with a model.", ask_model),
    tool("test_input_required_result_elicitation", "Asks for a name.", ask_name),
    tool("test_input_required_result_sampling", "Asks the model.", ask_model),
    tool("test_input_required_result_list_roots", "Asks for the roots.", ask_roots),
    tool("test_input_required_result_request_state", "Asks to confirm.", ask_ok),
    tool("test_input_required_result_tampered_state", "Asks to confirm.", ask_ok),
    tool("test_input_required_result_multiple_inputs", "Asks three things at once.", ask_three),
    tool("test_input_required_result_multi_round", "Asks one thing after the other.", ask_twice),
    tool("test_input_required_result_capabilities", "Asks what the client can answer.", ask_what_is_possible),
)
PROMPT = Prompt(
    name="test_input_required_result_prompt",
    title="A prompt that asks",
    description="Asks for its context.",
    handler=prompt,
)

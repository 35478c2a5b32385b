"""Tools whose work may take long: they let the client go with a task, where it knows tasks."""

from __future__ import annotations

import asyncio

from marshmallow import Schema, fields, validate

from gatelodge import Call, ErrorCode, Form, Result, ToolError

from .questions import NAME, NameForm, said
from .tools import tool


class Work(Schema):
    seconds = fields.Float(required=True, validate=validate.Range(min=0, max=600))
    label = fields.String()


class File(Schema):
    filename = fields.String(required=True)


class ConfirmForm(Schema):
    confirm = fields.Boolean(required=True)


async def slow_compute(call: Call) -> Result:
    seconds = call.arguments["seconds"]
    if seconds > 0:
        await call.become_task(ttl=seconds + 300)
        await call.progress(0, seconds, f"computing for {seconds:g} s")
    await asyncio.sleep(seconds)
    return said(f"Computed {call.arguments.get('label', 'it')} in {seconds:g} s")


async def failing_job(call: Call) -> Result:
    await call.become_task(required=True)
    await asyncio.sleep(1)
    raise ToolError(ErrorCode.UPSTREAM_5XX, "This job always fails")


async def protocol_error_job(call: Call) -> Result:
    await call.become_task()
    raise RuntimeError("this job always breaks")


async def confirm_delete(call: Call) -> Result:
    name = call.arguments["filename"]
    await call.become_task()
    answer = await call.ask("confirm", Form(f"Delete {name}?", ConfirmForm))
    return said(f"Deleted {name}" if answer.content.get("confirm") else f"Kept {name}")


async def multi_input(call: Call) -> Result:
    await call.become_task()
    answers = await call.ask_all({"name": Form("Your name?", NameForm), "sure": Form("Are you sure?", ConfirmForm)})
    return said(f"{answers['name'].action}, {answers['sure'].action}")


async def task_after_question(call: Call) -> Result:
    answer = await call.ask("user_name", NAME)
    await call.become_task(required=True)
    return said(f"Hello, {answer.content.get('name', 'nobody')}!")


TOOLS = (
    tool("slow_compute", "Sleeps, then answers.", slow_compute, Work),
    tool("failing_job", "Takes a second to fail; needs a client that knows tasks.", failing_job),
    tool("protocol_error_job", "Breaks.", protocol_error_job),
    tool("confirm_delete", "Asks before it pretends to delete a file.", confirm_delete, File),
    tool("multi_input", "Asks two things at once, in a task.", multi_input),
    tool("test_tool_with_task", "Asks for a name, then becomes a task.", task_after_question),
)

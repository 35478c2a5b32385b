"""What a model may read about the data: the columns of the tables, and the text of each template."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from gatelodge import Argument, Call, Message, Prompt, Resource, Result, Text, TextContents, ToolError

from .source import Source
from .template import Template

COLUMNS = """
SELECT column_name, data_type, is_nullable = 'YES' AS nullable
  FROM information_schema.columns
 WHERE table_schema = 'public' AND table_name = $1
 ORDER BY ordinal_position
"""
TABLES = ("work_items", "work_item_transitions", "work_item_metrics_daily")
PROJECTS = "SELECT DISTINCT project_key FROM work_items WHERE starts_with(project_key, $1) ORDER BY 1 LIMIT 20"
SECONDS = 5.0

TREND = """Explain how the project {project} has gone over the last {days} days.

1. Read the days: sql.get_project_metrics {{"project_key": "{project}", "days": {days}}}
2. Read lead times: sql.lead_time_metrics {{"project_key": "{project}", "days": {days}}}
3. Say in three sentences what changed, and when. Tell a trend from noise, and name the days you mean.
4. For the largest change look for its cause: sql.search_issues_by_project, then sql.get_issue_history of a few issues.
5. Say what the figures cannot tell."""


def resources(templates: Mapping[str, Template], source: Callable[[], Source]) -> Sequence[Resource]:
    """`source` answers the server's own database, once it is open."""
    return (
        Resource(
            uri="sql://schema/{table}",
            name="schema",
            title="Columns of a table",
            description=f"Columns and types of {', '.join(TABLES)}.",
            handler=partial(read_schema, source),
            mime_type="text/markdown",
            complete={"table": _completing("table", TABLES)},
        ),
        Resource(
            uri="sql://template/{name}",
            name="template",
            title="Text of a query template",
            description="The statement behind a sql.* tool.",
            handler=partial(read_template, templates),
            mime_type="application/sql",
            complete={"name": _completing("name", list(templates))},
        ),
    )


def prompts(source: Callable[[], Source]) -> Sequence[Prompt]:
    return (
        Prompt(
            name="explain-trend",
            title="Explain a trend",
            description="Looks at a project's figures and says what changed, when and perhaps why.",
            handler=explain_trend,
            arguments=(
                Argument(
                    name="project",
                    description="Key of the project, such as PAY.",
                    required=True,
                    complete=partial(complete_project, source),
                ),
                Argument(
                    name="days",
                    description="How far back, 30 unless given.",
                    complete=_completing("days", ("7", "30", "90", "180")),
                ),
            ),
        ),
    )


async def read_schema(source: Callable[[], Source], call: Call) -> Result:
    table = call.arguments["table"]
    if table not in TABLES:
        raise ToolError("not_found", f"There is no table {table!r}; there are {', '.join(TABLES)}.")
    async with source().reading(call.principal.tenant, SECONDS) as connection:
        rows = await connection.fetch(COLUMNS, table)
    lines = [f"- {row['column_name']}: {row['data_type']}{', may be null' if row['nullable'] else ''}" for row in rows]
    return Result(content=(TextContents(call.name, "\n".join([f"# {table}", "", *lines, ""]), "text/markdown"),))


async def read_template(templates: Mapping[str, Template], call: Call) -> Result:
    template = templates.get(call.arguments["name"])
    if template is None:
        raise ToolError("not_found", f"There is no template {call.arguments['name']!r}.")
    shown = f"-- {template.title} (source {template.source})\n{template.sql}\n"
    return Result(content=(TextContents(call.name, shown, "application/sql"),))


async def complete_project(source: Callable[[], Source], call: Call) -> list[str]:
    """Keys of the projects that the caller's tables hold."""
    async with source().reading(call.principal.tenant, SECONDS) as connection:
        rows = await connection.fetch(PROJECTS, call.arguments.get("project", "").upper())
    return [row["project_key"] for row in rows]


async def explain_trend(call: Call) -> Result:
    project, days = call.arguments["project"].upper(), call.arguments.get("days", "30")
    if not project.isascii() or not project.replace("_", "").isalnum():
        raise _invalid("project", "It is a key such as PAY.")
    if not days.isascii() or not days.isdigit() or not 1 <= int(days) <= 365:
        raise _invalid("days", "It is a number of days from 1 to 365.")
    return Result(content=(Message("user", Text(TREND.format(project=project, days=int(days)))),))


def _invalid(argument: str, sentence: str) -> ToolError:
    return ToolError("validation_error", f"{argument}: {sentence}", details={"fields": {argument: [sentence]}})


def _completing(argument: str, choices: Sequence[str]) -> Callable[[Call], Awaitable[Sequence[str]]]:
    async def complete(call: Call) -> Sequence[str]:
        return [choice for choice in choices if choice.startswith(call.arguments.get(argument, ""))]

    return complete

"""A story through all fourteen tools, with the official Python client: a bug is found, filed, worked on and measured.

pip install 'mcp>=2.3'
python examples/demo.py [http://127.0.0.1:8054/mcp]
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from uuid import uuid4

from mcp import Client

URL = "http://127.0.0.1:8054/mcp"


class Story:
    """Calls tools and prints each step as a line or two."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._step = 0

    async def call(self, why: str, tool: str, **arguments: Any) -> dict[str, Any]:
        self._step += 1
        print(f"\n{self._step:>2}. {why}\n    {tool} {json.dumps(arguments, ensure_ascii=False)[:160]}")
        result = await self._client.call_tool(tool, arguments)
        if result.is_error:
            raise SystemExit(f"    failed: {result.content[0].text}")
        assert result.structured_content is not None
        return result.structured_content


def say(text: str) -> None:
    print(f"    → {text}")


async def tell(client: Client) -> None:
    story = Story(client)
    run = uuid4().hex[:8]

    found = await story.call(
        "What is open in payments?",
        "jira.search",
        query="project = PAY AND statusCategory != Done ORDER BY updated DESC",
        limit=3,
        count=True,
    )
    for issue in found["issues"]:
        say(f"{issue['key']}  {issue['fields']['status']['name']:<12} {issue['fields']['summary']}")
    say(f"about {found['total']} in all, in {found['instance']}")

    similar = await story.call(
        "Has somebody reported this already?",
        "sql.search_issues_by_text",
        query="card form",
        project_keys=["PAY", "WEB"],
        limit=3,
    )
    for row in similar["rows"]:
        say(f"{row['issue_key']}  {row['similarity']:.2f}  {row['title']}")

    new = {
        "project_key": "PAY",
        "issue_type": "Bug",
        "summary": f"Card form freezes on a slow line ({run})",
        "description": "## Steps\n\n1. Throttle the line\n2. Pay\n\n**Expected:** a spinner",
        "fields": {"priority": "High"},
        "idempotency_key": f"demo-{run}",
    }
    preview = await story.call("No. What would be sent to Jira?", "jira.create_issue", **new, dry_run=True)
    say(f"{preview['would_send'][0]['method']} {preview['would_send'][0]['path']}")
    filed = await story.call("File it.", "jira.create_issue", **new)
    key = filed["issue_key"]
    say(filed["url"])
    again = await story.call("The line broke, so the client tries again.", "jira.create_issue", **new)
    say(f"{again['issue_key']}: {'the same issue' if again['issue_key'] == key else 'A SECOND ISSUE'}")

    await story.call("Estimate it.", "jira.update_issue", issue_key=key, fields={"Story Points": 3, "labels": ["demo"]})
    linked = await story.call(
        "It holds up another one.",
        "jira.link_issues",
        source=key,
        link_type="blocks",
        target=found["issues"][0]["key"],
    )
    say(linked["sentence"])
    ways = await story.call("Where may it go from here?", "jira.list_transitions", issue_key=key)
    target = ways["transitions"][0]["to_status"]
    say(", ".join(way["to_status"] for way in ways["transitions"]))
    moved = await story.call("Start.", "jira.transition_issue", issue_key=key, to_status=target)
    say(f"{moved['from_status']} → {moved['to_status']}")
    await story.call("Tell the others.", "jira.add_comment", issue_key=key, body="Reproduced; *on it*.")
    read = await story.call("Read it back.", "jira.get_issue", issue_key=key, expand=["comments"])
    say(f"{read['fields']['status']['name']}, {read['comments']['total']} comment: {read['fields']['summary']}")

    history = await story.call("How did an older one go?", "sql.get_issue_history", issue_key="PAY-12")
    for row in history["rows"]:
        say(f"{row['at'][:10]}  {row['from_status']} → {row['to_status']}")
    people = await story.call("What is on Ada's desk?", "sql.get_user_workload", assignee="Ada Novak")
    say(f"{sum(row['issues'] for row in people['rows'])} issues")
    listed = await story.call(
        "What is in progress on the web site?",
        "sql.search_issues_by_project",
        project_key="WEB",
        status="In Progress",
        limit=3,
    )
    for row in listed["rows"]:
        say(f"{row['issue_key']}  {row['title']}")
    metrics = await story.call("How was the last week?", "sql.get_project_metrics", project_key="PAY", days=7)
    new_ones, done = (sum(row[name] for row in metrics["rows"]) for name in ("created", "resolved"))
    say(f"{new_ones} created, {done} done")
    lead = await story.call("How long do things take?", "sql.lead_time_metrics", project_key="PAY", days=90)
    say(json.dumps(lead["rows"][0]))


async def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else URL
    async with Client(url) as client:
        print(f"Connected to {url}, revision {client.protocol_version}")
        await tell(client)


if __name__ == "__main__":
    asyncio.run(main())

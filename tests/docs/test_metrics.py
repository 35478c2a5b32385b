"""The page on metrics says what /metrics does."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gatelodge import ToolError
from gatelodge.testing import OpenGatelodge

PAGE = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", re.MULTILINE)
STANDARD = "process_"
"""What prometheus_client tells of any process, by platform: documented as a whole."""
INNER = {"le", "worker"}
"""Labels of a histogram's samples, and of several workers: explained once."""


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels by the name of a sample."""
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(PAGE)}


def full_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


async def test_every_metric_is_documented_and_every_documented_one_is_there(
    open_gatelodge: OpenGatelodge, valkey: str
) -> None:
    """With its type and its labels. What only several workers have is tested with them."""
    settings = {"REDIS_URL": valkey, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    gate = await open_gatelodge(**settings)
    await gate.call("sql.get_project_metrics", project_key="GATE", days=7)
    with suppress(ToolError):
        await gate.call("jira.get_issue", issue_key="OPS-99999")
    async with gate.session.get(f"{gate.url}/metrics") as reply:
        families = list(text_string_to_metric_families(await reply.text()))
    kinds = {full_name(family): family.type for family in families if not family.name.startswith(STANDARD)}
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for family in families:
        for sample in family.samples:
            labels[full_name(family)] |= sample.labels.keys() - INNER
    told = documented()
    several = {name for name in told if name == "gatelodge_workers"}
    assert told.keys() - several == kinds.keys()
    assert {name: kind for name, (kind, _) in told.items() if name not in several} == kinds
    assert {name for name, (_, named) in told.items() if labels[name] - named} == set()


async def test_the_dotted_names_are_documented(open_gatelodge: OpenGatelodge) -> None:
    """All of those that the JSON form has for the two plugins."""
    gate = await open_gatelodge()
    async with gate.session.get(f"{gate.url}/metrics", headers={"Accept": "application/json"}) as reply:
        names = set((await reply.json())["metrics"])
    assert names == set(re.findall(r"`(mcp\.[a-z.]+)`", PAGE))

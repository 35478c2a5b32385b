"""Rules and dashboard speak of metrics that a server has, and Prometheus's own program takes them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from gatelodge.testing import Gatelodge, OpenGatelodge

from .tools import ETC, debian, run

PROMETHEUS = ETC / "prometheus"
OURS = re.compile(r"\b(?:gatelodge|process)_[a-z0-9_]+")
MATCHED = re.compile(r'(\w+)\s*=~?\s*"')
GROUPED = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
OF_ALL = frozenset({"instance", "job", "le", "worker"})
"""Labels that Prometheus, a histogram or several workers give to any metric."""
EVERYTHING_ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
"""What has metrics only where it is set up."""
OF_WORKERS = frozenset({"gatelodge_workers"})
"""What only a server of several workers has."""
PAGE = (ETC.parent / "docs/metrics.md").read_text()
LABELS = frozenset(
    re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| `gatelodge_\w+` \| \w+ \|([^|]*)\|", PAGE, re.MULTILINE)))
)
"""Some have no value yet, so no sample shows them; the page is held to the code by a test of its own."""


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "gatelodge.rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _dashboard() -> list[str]:
    panels = json.loads((ETC / "grafana/dashboards/gatelodge.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


async def _exposed(gate: Gatelodge) -> tuple[set[str], set[str]]:
    """Names of samples, and of labels, after a call, a refusal and a retry."""
    for arguments in ({"query": "project = OPS"}, {"query": 1}):
        body = {"name": "jira.search", "arguments": arguments}
        await (await gate.session.post(f"{gate.url}/tools/invoke", json=body)).read()
    await (await gate.session.get(f"{gate.url}/tools", headers={"X-API-Key": "no key at all"})).read()
    async with gate.session.get(f"{gate.url}/metrics") as reply:
        text = await reply.text()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    kinds = {name: kind for name, kind in kinds.items() if not name.endswith("_created")}
    names = {name for name, kind in kinds.items() if kind != "histogram"}
    names |= {
        name + part for name, kind in kinds.items() if kind == "histogram" for part in ("_bucket", "_sum", "_count")
    }
    return names | OF_WORKERS, set(re.findall(r'[{,](\w+)="', text)) | LABELS


async def test_every_metric_that_is_watched_exists(open_gatelodge: OpenGatelodge) -> None:
    """A name or label that a server does not have would make a rule that never fires, and an empty panel."""
    names, labels = await _exposed(await open_gatelodge(**EVERYTHING_ON))
    expressions = [rule["expr"] for rule in _rules()] + _dashboard()
    assert len(expressions) > 30
    for expression in expressions:
        assert set(OURS.findall(expression)) <= names, expression
        used = set(MATCHED.findall(expression))
        used |= {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")}
        assert used <= labels | OF_ALL, expression


async def test_every_metric_is_watched(open_gatelodge: OpenGatelodge) -> None:
    """One that is on no panel and in no rule is one that nobody looks at."""
    names, _ = await _exposed(await open_gatelodge(**EVERYTHING_ON))
    text = " ".join([rule["expr"] for rule in _rules()] + _dashboard()) + " gatelodge_info"
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names if name.startswith("gatelodge_")}
    assert {name for name in families if name not in text} == set()


def test_every_alert_says_what_to_do() -> None:
    """How bad it is, what has happened, and the command that shows more."""
    for rule in _rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert rule["annotations"].keys() == {"summary", "command"}


@pytest.mark.parametrize(
    "check",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "gatelodge.rules.yml"),
        ("test", "rules", "gatelodge.rules.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_takes_it(check: tuple[str, ...]) -> None:
    """And the alerts fire and clear on the series of their own tests."""
    run(debian("promtool", "prometheus"), *check, cwd=PROMETHEUS)


def test_panels_have_titles_and_places_of_their_own() -> None:
    """Grafana would draw one over the other."""
    panels = json.loads((ETC / "grafana/dashboards/gatelodge.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells

"""Metrics as JSON: the dotted names that deployment guides tell people to watch, and everything else by its own name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Metric

from .calls import CALLS, DURATION, ERRORS

QUERIES = {"sql": ("query", "executions")}
"""Plugins whose tools go by other words."""


def json_view(collected: Iterable[Metric], plugins: Iterable[str]) -> dict[str, Any]:
    """`{timestamp, metrics, families}`: `metrics` has the dotted names of each plugin's tools, `families` every sample.

    Durations are in milliseconds in `metrics`, and in seconds, as their names say, in `families`.
    """
    families = {family.name: family for family in collected}
    dotted: dict[str, Any] = {}
    for plugin in plugins:
        dotted |= _dotted(families, plugin)
    return {
        "timestamp": datetime.now(UTC).isoformat(),
        "metrics": dotted,
        "families": {name: _family(family) for name, family in families.items()},
    }


def _dotted(families: dict[str, Metric], plugin: str) -> dict[str, Any]:
    noun, counted = QUERIES.get(plugin, ("tool", "invocations"))
    prefix = f"mcp.{plugin}.{noun}"
    return {
        f"{prefix}.{counted}": _counted(families[CALLS.removesuffix("_total")], plugin, "outcome"),
        f"{prefix}.errors": _counted(families[ERRORS.removesuffix("_total")], plugin, "code"),
        f"{prefix}.duration": _timed(families[DURATION], plugin),
    }


def _counted(family: Metric, plugin: str, label: str) -> dict[str, Any]:
    """`{total, by_name, by_<label>}`."""
    samples = _of_tools(family, plugin, "_total")
    names = _summed(samples, "name")
    return {"total": sum(names.values()), "by_name": names, f"by_{label}": _summed(samples, label)}


def _timed(family: Metric, plugin: str) -> dict[str, Any]:
    """`{count, mean_ms, by_name: {name: {count, mean_ms}}}`; a mean of nothing is null."""
    counts = _summed(_of_tools(family, plugin, "_count"), "name")
    sums = _summed(_of_tools(family, plugin, "_sum"), "name")
    by_name = {name: _mean(counts[name], sums[name]) for name in counts}
    return {**_mean(sum(counts.values()), sum(sums.values())), "by_name": by_name}


def _mean(count: float, seconds: float) -> dict[str, Any]:
    return {"count": count, "mean_ms": round(1000 * seconds / count, 3) if count else None}


def _summed(samples: Iterable[tuple[dict[str, str], float]], label: str) -> dict[str, float]:
    """By one label, over all others: a worker may be one of them."""
    sums: dict[str, float] = {}
    for labels, value in samples:
        sums[labels[label]] = sums.get(labels[label], 0) + value
    return sums


def _of_tools(family: Metric, plugin: str, suffix: str) -> list[tuple[dict[str, str], float]]:
    return [
        (sample.labels, sample.value)
        for sample in family.samples
        if sample.name.endswith(suffix) and sample.labels["kind"] == "tool" and sample.labels["plugin"] == plugin
    ]


def _family(family: Metric) -> dict[str, Any]:
    samples = [{"name": sample.name, "labels": sample.labels, "value": sample.value} for sample in family.samples]
    return {"type": family.type, "help": family.documentation, "samples": samples}

"""A metric whose value something else keeps already: it is read when it is asked for, and costs a call nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Values = float | Mapping[str, float]
"""One number, or a number for each value of the only label."""


class Reading(Collector):
    """`read` answers a number, or with a `label` a mapping of that label's values to numbers. It may not wait.

    A name that ends in `_total` is a counter, any other a gauge.
    """

    def __init__(self, name: str, help: str, read: Callable[[], Values], label: str | None = None) -> None:
        self.name = name
        self._help = help
        self._read = read
        self._labels: Sequence[str] = () if label is None else (label,)

    def describe(self) -> Iterable[Metric]:
        """The family without its values, for a registry to refuse names that are taken."""
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        values = self._read()
        if isinstance(values, Mapping):
            for label, value in sorted(values.items()):
                family.add_metric([label], value)
        else:
            family.add_metric([], values)
        return [family]

    def _family(self) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        return kind(self.name, self._help, labels=self._labels)

"""Processes that tell each other their metrics, and some that do not."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Metric

from gatelodge.metrics.siblings import Siblings, meeting_place


def sibling(folder: Path, calls: int) -> Siblings:
    registry = CollectorRegistry()
    Counter("desk_calls_total", "Calls.", registry=registry).inc(calls)
    return Siblings(folder, registry)


def by_label(families: list[Metric], name: str, label: str) -> dict[str, float]:
    (family,) = [each for each in families if each.name == name]
    return {sample.labels[label]: sample.value for sample in family.samples if not sample.name.endswith("_created")}


async def test_each_tells_of_all_and_a_successor_takes_over_the_number() -> None:
    """Whoever is asked; and the folder is gone with the last of them."""
    with meeting_place() as folder:
        async with sibling(folder, 3).joined():
            async with (first := sibling(folder, 5)).joined():
                assert by_label(await first.families(), "desk_calls", "worker") == {"0": 3, "1": 5}
            async with (second := sibling(folder, 7)).joined():
                assert by_label(await second.families(), "desk_calls", "worker") == {"0": 3, "1": 7}
        assert not folder.exists()


async def test_who_hangs_is_counted_and_who_is_gone_is_not() -> None:
    """Neither holds up the others for long."""
    left = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    with meeting_place() as folder:
        hanging = await asyncio.start_unix_server(hang, folder / "7.socket")
        with socket.socket(socket.AF_UNIX) as corpse:
            corpse.bind(str(folder / "8.socket"))
        async with (living := sibling(folder, 3)).joined(), asyncio.timeout(30):
            families = await living.families()
        assert by_label(families, "desk_calls", "worker") == {"0": 3}
        assert by_label(families, "gatelodge_workers", "state") == {"answering": 1, "silent": 1}
        await left.wait()
        hanging.close()
        (folder / "8.socket").unlink()

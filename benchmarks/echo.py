"""`tools/call` of an echo tool over Streamable HTTP: Gatelodge with all middleware against the official Python SDK.

Both run in processes of their own and get the same requests in turns, a round each, so that whatever else the machine
does meets both. Prints requests per second, p50 and p99 of each, and the median ratio over the rounds.

    python benchmarks/echo.py [--rounds 7] [--seconds 3] [--connections 16]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
REVISION = "2025-06-18"
ARGUMENTS = {"name": "echo.say", "arguments": {"text": "hello"}}
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": REVISION}


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one server: requests per second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*command: str, environment: Mapping[str, str], port: int) -> Iterator[str]:
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def servers(folder: str) -> Iterator[dict[str, str]]:
    ours, theirs = free_port(), free_port()
    settings = {
        "GATELODGE_DATA_DIR": f"{folder}/data",
        "MCP_PORT": str(ours),
        "MCP_JIRA_PORT": "0",
        "MCP_SQL_PORT": "0",
        "GATELODGE_RATE_LIMIT_USER": "900000000/minute,900000000/hour,900000000/day",
        "RATE_LIMIT_DEFAULT": "100000000",
        "LOG_LEVEL": "WARNING",
    }
    with (
        running(sys.executable, str(HERE / "echo_gatelodge.py"), environment=settings, port=ours) as gatelodge,
        running(sys.executable, str(HERE / "echo_sdk.py"), str(theirs), environment={}, port=theirs) as sdk,
    ):
        yield {"gatelodge": gatelodge, "sdk": sdk}


async def initialized(session: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """Headers of an open session."""
    client = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client}
    async with session.post(url, json=hello, headers=HEADERS) as reply:
        reply.raise_for_status()
        headers = {**HEADERS, "Mcp-Session-Id": reply.headers.get("Mcp-Session-Id", "")}
        await reply.read()
    headers = {name: value for name, value in headers.items() if value}
    async with session.post(
        url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers
    ) as reply:
        await reply.read()
    return headers


async def measure(url: str, seconds: float, connections: int) -> Round:
    latencies: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        headers = await initialized(session, url)
        end = time.perf_counter() + seconds
        ids = count(1)

        async def one() -> None:
            while (begun := time.perf_counter()) < end:
                call = {"jsonrpc": "2.0", "id": next(ids), "method": "tools/call", "params": ARGUMENTS}
                async with session.post(url, json=call, headers=headers) as reply:
                    body = await reply.read()
                if b"hello" not in body or b'"isError":true' in body:
                    raise SystemExit(f"{url}: {body[:300]!r}")
                latencies.append((time.perf_counter() - begun) * 1000)

        begun = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(connections)))
        took = time.perf_counter() - begun
    cuts = statistics.quantiles(latencies, n=100)
    return Round(len(latencies) / took, cuts[49], cuts[98])


async def compare(urls: Mapping[str, str], rounds: int, seconds: float, connections: int) -> dict[str, list[Round]]:
    results: dict[str, list[Round]] = {name: [] for name in urls}
    for url in urls.values():
        await measure(url, 1.0, connections)  # warm
    for number in range(rounds):
        for name in sorted(urls, reverse=bool(number % 2)):
            results[name].append(await measure(urls[name], seconds, connections))
    return results


def report(results: Mapping[str, list[Round]]) -> dict[str, Any]:
    def middle(name: str, part: str) -> float:
        return round(statistics.median(getattr(item, part) for item in results[name]), 2)

    def ratio(part: str) -> float:
        pairs = zip(results["gatelodge"], results["sdk"], strict=True)
        return round(statistics.median(getattr(ours, part) / getattr(theirs, part) for ours, theirs in pairs), 2)

    parts = ("rate", "p50", "p99")
    return {name: {part: middle(name, part) for part in parts} for name in results} | {
        "gatelodge/sdk": {part: ratio(part) for part in parts}
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with servers(folder) as urls:
            results = asyncio.run(compare(urls, options.rounds, options.seconds, options.connections))
    print(json.dumps(report(results), indent=2))


if __name__ == "__main__":
    main()

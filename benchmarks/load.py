"""Load by wrk, a generator of its own: `/health` against a bare aiohttp handler, `tools/call` against the official Python SDK.

Every server is a process of its own on the loopback address, and they get their rounds in turns. Prints requests per second
and latencies of each, and the median ratios over the rounds. Bounded: rounds x seconds x 4 targets, a minute by default.

    python benchmarks/load.py [--rounds 5] [--seconds 3] [--connections 16]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
from echo import ARGUMENTS, HERE, Round, free_port, initialized, running, servers

UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
PAIRS = {"health": ("gatelodge", "bare aiohttp"), "tools/call": ("gatelodge", "sdk")}
LONGEST = 120
"""Seconds that all rounds of one target may take together."""
# Each request has an id of its own, and an answer that is not the tool's ends the run.
SCRIPT = """
local headers = {headers}
local threads, sent = 0, 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function request()
    sent = sent + 1
    local id = number * 1e9 + sent
    return wrk.format("POST", nil, headers, string.format('{body}', id))
end
function response(status, _, body)
    if status ~= 200 or not string.find(body, "hello", 1, true) then
        print("REFUSED " .. status .. " " .. body)
        wrk.thread:stop()
    end
end
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Where wrk goes, and its script for what is not a plain GET."""

    url: str
    script: Path | None = None


def measure(target: Target, seconds: int, connections: int) -> Round:
    """Raises `SystemExit` for a run with any answer but the right one."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--latency"]
    script = ["--script", str(target.script)] if target.script else []
    done = subprocess.run([*command, *script, target.url], capture_output=True, text=True, check=True)
    for wrong in ("REFUSED", "Non-2xx", "Socket errors"):
        if wrong in done.stdout:
            raise SystemExit(done.stdout[:2000])
    return Round(_number(r"Requests/sec:\s+([\d.]+)()", done.stdout), *(_latency(p, done.stdout) for p in (50, 99)))


def _latency(percent: int, said: str) -> float:
    return _number(rf"{percent}%\s+([\d.]+)(us|ms|s)", said)


def _number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    assert found, said
    return float(found[1]) * UNITS.get(found[2], 1.0)


async def tool_call(url: str, folder: Path, name: str) -> Target:
    """An open session, and a script that calls the tool in it."""
    async with aiohttp.ClientSession() as session:
        headers = {**await initialized(session, url), "Content-Type": "application/json"}
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": ARGUMENTS})
    table = ", ".join(f'["{key}"] = "{value}"' for key, value in headers.items())
    script = folder / f"{name}.lua"
    text = SCRIPT.replace("{headers}", f"{{{table}}}").replace("{body}", body.replace('"id": 0', '"id": %.0f'))
    script.write_text(text)
    return Target(url, script)


@contextmanager
def targets(folder: Path) -> Iterator[dict[tuple[str, str], Target]]:
    port = free_port()
    bare = running(sys.executable, str(HERE / "bare.py"), str(port), environment={}, port=port)
    with servers(str(folder)) as urls, bare as bare_url:
        calls = {name: asyncio.run(tool_call(url, folder, name)) for name, url in urls.items()}
        yield {
            ("health", "gatelodge"): Target(urljoin(urls["gatelodge"], "/health")),
            ("health", "bare aiohttp"): Target(urljoin(bare_url, "/health")),
            **{("tools/call", name): target for name, target in calls.items()},
        }


def compare(found: Mapping[tuple[str, str], Target], rounds: int, seconds: int, connections: int) -> dict[str, Any]:
    results: dict[tuple[str, str], list[Round]] = {key: [] for key in found}
    for target in found.values():
        measure(target, 1, connections)  # warm
    for number in range(rounds):
        for key in sorted(found, reverse=bool(number % 2)):
            results[key].append(measure(found[key], seconds, connections))
    return {what: _report(results[what, ours], results[what, theirs], theirs) for what, (ours, theirs) in PAIRS.items()}


def _report(ours: list[Round], theirs: list[Round], peer: str) -> dict[str, Any]:
    def middle(rounds: list[Round]) -> dict[str, float]:
        return {part: round(statistics.median(getattr(r, part) for r in rounds), 2) for part in ("rate", "p50", "p99")}

    pairs = list(zip(ours, theirs, strict=True))
    ratios = {
        part: round(statistics.median(getattr(a, part) / getattr(b, part) for a, b in pairs), 2)
        for part in ("rate", "p50", "p99")
    }
    return {"gatelodge": middle(ours), peer: middle(theirs), f"gatelodge/{peer}": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    if options.rounds * options.seconds > LONGEST:
        parser.error(f"more than {LONGEST} seconds for each target")
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; it is in Debian's package wrk")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o755)
        with targets(Path(name)) as found:
            result = compare(found, options.rounds, options.seconds, options.connections)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

"""The Inspector's CLI mode: a command for each thing to do, with the JSON of its result on stdout."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..npm import NODE

LAUNCHER = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
ERAS = {"auto": "modern", "legacy": "legacy"}


class Inspector:
    """Does what the drivers do, as far as a command that ends with its answer can."""

    def __init__(self, packages: Path, home: Path, setup: Mapping[str, Any]) -> None:
        self._launcher = packages / LAUNCHER
        self._environment = {**os.environ, "HOME": str(home)}
        self._target = self._of(setup)

    async def do(self, what: str, /, **arguments: Any) -> dict[str, Any]:
        return dict(await getattr(self, what)(**arguments))

    async def list(self) -> dict[str, Any]:
        listed = [await self._run(f"{kind}/list") for kind in ("tools", "resources", "prompts")]
        tools, resources, prompts = listed
        return {
            "tools": [item["name"] for item in tools["tools"]],
            "resources": [item["uri"] for item in resources["resources"]],
            "prompts": [item["name"] for item in prompts["prompts"]],
        }

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        given = json.dumps(arguments)
        result = await self._run("tools/call", "--tool-name", name, "--tool-args-json", given)
        return {"text": result["content"][0]["text"]}

    async def resource(self, uri: str) -> dict[str, Any]:
        return {"text": (await self._run("resources/read", "--uri", uri))["contents"][0]["text"]}

    async def prompt(self, name: str, arguments: Mapping[str, str]) -> dict[str, Any]:
        pairs = [f"{key}={value}" for key, value in arguments.items()]
        result = await self._run("prompts/get", "--prompt-name", name, "--prompt-args", *pairs)
        return {"text": result["messages"][0]["content"]["text"]}

    async def _run(self, method: str, *options: str) -> dict[str, Any]:
        command = [str(self._launcher), "--cli", *self._target, "--method", method, *options, "--format", "json", "-q"]
        process = await asyncio.create_subprocess_exec(
            str(NODE),
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        output, complaint = await process.communicate()
        assert process.returncode == 0, (complaint, output)
        return dict(json.loads(output)["result"])

    def _of(self, setup: Mapping[str, Any]) -> list[str]:
        era = ["--protocol-era", ERAS[setup["mode"]]]
        if setup["door"] != "stdio":
            return ["--server-url", setup["url"], "--transport", setup["door"], *era]
        variables = [option for name, value in setup["env"].items() for option in ("-e", f"{name}={value}")]
        return [setup["command"], *setup["args"], *variables, *era]

"""The official Python SDK's high-level server with the same echo tool, in stateful sessions and JSON replies."""

from __future__ import annotations

import sys

import uvicorn
from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel

server = MCPServer("echo", log_level="WARNING")


class Said(BaseModel):
    text: str


@server.tool(name="echo.say")
def say(text: str) -> Said:
    """Says it back."""
    return Said(text=text)


if __name__ == "__main__":
    app = server.streamable_http_app(json_response=True)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

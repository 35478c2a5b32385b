"""stdio: one JSON-RPC message a line, both eras. stdout carries nothing else; logs go to stderr."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO
from uuid import uuid4

import msgspec

from ..errors import ToolError, describe
from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import INVALID_REQUEST, ProtocolError, RequestId, error_response, parse
from ..protocol.methods import Protocol
from .gate import GatePolicy, identify_pipe, open_pipe
from .pipe import Pipe

MAX_LINE = 1024 * 1024


class Stdio:
    """Serves one client on a pair of binary streams until its input ends."""

    def __init__(self, protocol: Protocol, policy: GatePolicy, output: BinaryIO) -> None:
        self._protocol = protocol
        self._policy = policy
        self._output = output

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer requests as they come, several at a time; at the end of input the running ones are cancelled."""
        principal = await open_pipe(self._policy)
        pipe = Pipe(Conversation(self._protocol, principal, "stdio"), self._send)
        async with self._protocol.tasks.lifespan(), pipe.opened():
            while line := await self._line(reader):
                if line.strip():
                    await self._receive(line, pipe)

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            return end.partial
        except asyncio.LimitOverrunError as overrun:
            await self._skip_line(reader, overrun.consumed)
            fault = ProtocolError(INVALID_REQUEST, f"A message may have {MAX_LINE} bytes at most")
            await self._send(error_response(fault, null_id=True))
            return b"\n"

    async def _skip_line(self, reader: asyncio.StreamReader, consumed: int) -> None:
        await reader.readexactly(consumed)
        while True:
            try:
                await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as overrun:
                await reader.readexactly(overrun.consumed)
            except asyncio.IncompleteReadError:
                return
            else:
                return

    async def _receive(self, line: bytes, pipe: Pipe) -> None:
        request_id = uuid4().hex
        try:
            principal = await identify_pipe(self._policy, request_id)  # a key may be revoked since the last message
            await pipe.receive(line, request_id, principal=principal)
        except ToolError as error:
            fault = ProtocolError(INVALID_REQUEST, error.message, data=describe(error, request_id), id=_id(line))
            await self._send(error_response(fault, null_id=True))
        except ProtocolError as error:
            await self._send(error_response(error, null_id=True))

    async def _send(self, message: Mapping[str, Any]) -> None:
        """A line is written whole before anything else runs, so lines never mix."""
        self._output.write(msgspec.json.encode(message) + b"\n")
        self._output.flush()


async def standard_input() -> asyncio.StreamReader:
    """This process's stdin as a stream of lines of at most `MAX_LINE` bytes."""
    reader = asyncio.StreamReader(limit=MAX_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _id(line: bytes) -> RequestId | None:
    """The id of a message that is refused, for its client to know which."""
    try:
        message = parse(line)
    except ProtocolError as error:
        return error.id
    return None if isinstance(message, list) else message.id

"""Which failures are faults of the protocol, and the JSON-RPC errors they become."""

from __future__ import annotations

from collections.abc import Awaitable

from ..contract import Result
from ..errors import ErrorCode, ToolError, describe
from ..questions import CannotAsk
from .jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    MISSING_CAPABILITY,
    RESOURCE_NOT_FOUND,
    ProtocolError,
)
from .peer import Peer
from .revisions import Revision


async def found(pending: Awaitable[Result], peer: Peer) -> Result:
    """What is not there to be called is a fault of the protocol, whatever the method."""
    try:
        result = await pending
    except ToolError as error:
        raise fault(error, peer) from None
    if peer.line.reply_headers is not None:
        peer.line.reply_headers.update(result.reply_headers)
    return result


def fault(error: ToolError, peer: Peer) -> ProtocolError:
    data = describe(error, peer.request_id)
    if isinstance(error, CannotAsk) and peer.revision.stateless:
        data |= {"requiredCapabilities": error.required}
        return ProtocolError(MISSING_CAPABILITY, error.message, data=data, status=400)
    if "uri" in error.details:
        data |= {"uri": error.details["uri"]}
    if _lacks_scopes(error):
        return ProtocolError(INVALID_REQUEST, error.message, data=data, status=error.status)
    code = INTERNAL_ERROR if error.code is ErrorCode.INTERNAL else INVALID_PARAMS
    if error.code is ErrorCode.NOT_FOUND and "uri" in error.details and not peer.revision.stateless:
        code = RESOURCE_NOT_FOUND
    return ProtocolError(code, error.message, data=data, status=200)


def is_fault(error: ToolError, revision: Revision) -> bool:
    """Failures of a tool that are no results: a client that cannot be asked, a token that is not good for this tool, so
    that its client may get another one, and, before 2025-11-25, wrong arguments."""
    if isinstance(error, CannotAsk):
        return revision.stateless
    if _lacks_scopes(error):
        return True
    wrong_input = error.code is ErrorCode.VALIDATION_ERROR and "fields" in error.details
    return wrong_input and not revision.input_errors_in_result


def _lacks_scopes(error: ToolError) -> bool:
    return error.code is ErrorCode.FORBIDDEN and "missing_scopes" in error.details

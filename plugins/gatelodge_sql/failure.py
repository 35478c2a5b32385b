"""What Postgres may answer, as the stable codes. Its own sentences are not passed on: they may quote rows."""

from __future__ import annotations

import logging

import asyncpg

from gatelodge import ErrorCode, ToolError

from .template import Template

logger = logging.getLogger(__name__)

TIMEOUT = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
FORBIDDEN = (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)
NETWORK = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.TooManyConnectionsError,
    asyncpg.OperatorInterventionError,
)


def as_tool_error(error: Exception, template: Template) -> ToolError:
    """The code and a sentence for the caller; the SQLSTATE is in `details`."""
    code, sentence = _judge(error)
    state = getattr(error, "sqlstate", None)
    logger.warning("%s: %s on source %s: %s", template.tool, type(error).__name__, template.source, state)
    details = {"template": template.name, "source": template.source} | ({"sqlstate": state} if state else {})
    return ToolError(code, f"{template.tool}: {sentence}", details=details)


def _judge(error: Exception) -> tuple[ErrorCode, str]:
    if isinstance(error, TIMEOUT):
        return ErrorCode.TIMEOUT, "The query did not finish in time."
    if isinstance(error, FORBIDDEN):
        return ErrorCode.FORBIDDEN, "The database does not let this query read that."
    if isinstance(error, asyncpg.DataError):
        return ErrorCode.VALIDATION_ERROR, "The database cannot use one of these arguments."
    if isinstance(error, NETWORK):
        return ErrorCode.NETWORK_ERROR, "The database cannot be reached."
    return ErrorCode.UPSTREAM_5XX, "The database failed to run this query."

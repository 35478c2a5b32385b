"""What HTTP replies carry besides their body: security headers, CORS, compression. And TLS, where it is required.

Source: OWASP "HTTP Security Response Headers", Fetch (the CORS protocol), RFC 9110 (Accept-Encoding), RFC 6797 (HSTS).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import hdrs, web
from marshmallow import fields, validate

from ..errors import ErrorCode, StartupError, ToolError
from ..logs import SERVICE
from ..settings import setting
from ..switches import Switches
from ..switches.core import ORIGINS

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Defaults: a door that says otherwise keeps what it says."""
HSTS = "max-age=31536000; includeSubDomains"
ALLOWED_METHODS = "GET, POST, DELETE, OPTIONS"
EXPOSED = (
    "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"
)
REQUEST_ID = web.RequestKey("request_id", str)
"""What finds a request again in the log and the audit; each reply carries it as `X-Request-Id`."""
PREFLIGHT_AGE = "600"
"""Seconds; browsers cap it at 7200 or less."""
GZIP = "gzip"
ZSTD = "zstd"
ZSTD_LEVEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSettings:
    """`compress_from` is in bytes."""

    tls_required: bool = setting(
        "MCP_SSL_REQUIRED",
        fields.Boolean(),
        default=False,
        help="Refuse what did not come by TLS, except health; a GET is sent on to https.",
    )
    security: bool = setting(
        "GATELODGE_SECURITY_HEADERS", fields.Boolean(), default=True, help="Whether replies carry security headers."
    )
    compress_from: int = setting(
        "GATELODGE_COMPRESS_FROM",
        fields.Integer(validate=validate.Range(min=0)),
        default=4096,
        help="Bytes from which a body is compressed where the client takes it; 0 for never.",
    )

    def refuse_unreachable(self, *, certificate: bool, proxies: bool) -> None:
        """Raises `StartupError` where no request could ever count as one by TLS."""
        if self.tls_required and not certificate and not proxies:
            raise StartupError(
                "tls_unreachable",
                "MCP_SSL_REQUIRED is set, but nothing can speak TLS: set GATELODGE_TLS_CERT and GATELODGE_TLS_KEY, or"
                " GATELODGE_TRUSTED_PROXIES to the proxy that does",
            )


def add_headers(app: web.Application, settings: HeaderSettings, switches: Switches, is_secure: IsSecure) -> None:
    """Give every reply of the application its headers. `is_secure` says whether a request came by TLS."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        if REQUEST_ID in request:  # it is not where a request was no HTTP: that never came to the application
            headers["X-Request-Id"] = request[REQUEST_ID]
        headers[hdrs.SERVER] = SERVICE  # in place of the versions of Python and aiohttp, which are nobody's business
        if settings.security:
            for name, value in SECURITY.items():
                headers.setdefault(name, value)
            if is_secure(request):
                headers["Strict-Transport-Security"] = HSTS
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin in switches.get(ORIGINS):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = EXPOSED
            headers.add("Vary", "Origin")

    app.on_response_prepare.append(prepare)


def require_tls(request: web.Request) -> None:
    """Raises the refusal of a request that came in the clear; what only reads is told where to go instead."""
    if request.method in ("GET", "HEAD"):
        location = f"https://{request.host}{request.raw_path}"
        raise ToolError(ErrorCode.FORBIDDEN, "Use https.", status=308, headers={"Location": location})
    raise ToolError(ErrorCode.FORBIDDEN, "This server is reached by https alone; nothing was done.")


def preflight(request: web.Request, switches: Switches) -> web.Response | None:
    """The reply to a browser that asks whether a page may call; None for a request that is no such question."""
    wanted = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or wanted is None:
        return None
    if request.headers.get(hdrs.ORIGIN) not in switches.get(ORIGINS):
        return web.Response(status=403)
    headers = {
        "Access-Control-Allow-Methods": ALLOWED_METHODS,
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
        "Access-Control-Max-Age": PREFLIGHT_AGE,
    }
    return web.Response(status=204, headers=headers)


def compress(request: web.Request, response: web.StreamResponse, compress_from: int) -> None:
    """Compress a whole body that is worth it. Streams are left alone: an event must not wait for the next."""
    body = response.body if isinstance(response, web.Response) else None
    if not compress_from or not isinstance(body, bytes) or len(body) < compress_from:
        return
    accepted = request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
    if zstd is not None and ZSTD in accepted:
        response.body = zstd(body, ZSTD_LEVEL)  # type: ignore[attr-defined]
        response.headers[hdrs.CONTENT_ENCODING] = ZSTD
    elif GZIP in accepted:
        response.enable_compression(web.ContentCoding.gzip)
    response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)


IsSecure = Callable[[web.Request], bool]


def _find_zstd() -> Callable[[bytes, int], bytes] | None:
    """Python's own from 3.14 on, or its backport where that is installed."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            found: Any = importlib.import_module(module)
        except ImportError:
            continue
        return found.compress  # type: ignore[no-any-return]
    return None


zstd = _find_zstd()

"""An issuer's public keys: fetched over HTTP, kept, and fetched again when a token names one that is not known.

Source: RFC 7517 (JWKS), RFC 8414 and OpenID Connect Discovery (where the issuer keeps them).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

from ..errors import ErrorCode, ToolError

logger = logging.getLogger(__name__)

PublicKey = RSAKey | ECKey | OKPKey

TIMEOUT = aiohttp.ClientTimeout(total=5)
MOST_BYTES = 1024 * 1024
SMALLEST_RSA = 2048
RETRY = 5.0


class KeysUnreachable(Exception):
    """The issuer did not give its keys; the message says why."""


class IssuerKeys:
    """The keys of one issuer, by their `kid`. They outlive an issuer that is down.

    `ttl` is how long they are kept before they are read again in the background, `cooldown` how long at least lies
    between two fetches that unknown keys cause; both in seconds. `changed` is called when the keys are other ones.
    """

    def __init__(
        self, issuer: str, url: str | None, *, ttl: float, cooldown: float, changed: Callable[[], None]
    ) -> None:
        self._issuer = issuer
        self._url = url
        self._ttl = ttl
        self._cooldown = cooldown
        self._changed = changed
        self._keys: Sequence[PublicKey] = ()
        self._document: Any = None
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read the keys now and then. An issuer that is down does not keep the server from starting."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as self._session:
            await self._refresh()
            refreshing = asyncio.create_task(self._refresh_now_and_then())
            try:
                yield
            finally:
                refreshing.cancel()

    async def find(self, kid: str | None, fits: Callable[[PublicKey], bool]) -> PublicKey | None:
        """The key of that id which fits the token's algorithm; without an id, the only one that fits.

        Raises `network_error` (503) while no key was ever read.
        """
        found = self._known(kid, fits)
        if found is None:
            await self._refresh_once(self._tried_at)
            found = self._known(kid, fits)
        if not self._keys:
            raise ToolError(
                ErrorCode.NETWORK_ERROR,
                "Tokens cannot be checked now: their issuer does not give its keys.",
                status=503,
                retry_after=RETRY,
            )
        return found

    def _known(self, kid: str | None, fits: Callable[[PublicKey], bool]) -> PublicKey | None:
        found = [key for key in self._keys if fits(key) and (kid is None or key.kid == kid)]
        return found[0] if len(found) == 1 else None

    async def _refresh_once(self, seen: float) -> None:
        """Those who wait for one fetch share it, and none follows within the cooldown."""
        async with self._lock:
            pause = self._cooldown if self._keys else RETRY
            if self._tried_at == seen and time.monotonic() - seen >= pause:
                await self._refresh()

    async def _refresh_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._ttl if self._keys else RETRY)
            async with self._lock:
                await self._refresh()

    async def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        try:
            document = await self._fetch(self._url or await self._discover())
            keys = usable_keys(document)
        except KeysUnreachable as error:
            meanwhile = "those known so far count" if self._keys else "no token can be checked"
            logger.warning("the keys of %s cannot be read, and %s until they can: %s", self._issuer, meanwhile, error)
            return
        if document != self._document:
            self._keys, self._document = keys, document
            self._changed()

    async def _discover(self) -> str:
        """The `jwks_uri` of the issuer's metadata, in either of the places it may be."""
        parts = urlsplit(self._issuer.rstrip("/"))
        host = f"{parts.scheme}://{parts.netloc}"
        places = (
            f"{host}{parts.path}/.well-known/openid-configuration",
            f"{host}/.well-known/oauth-authorization-server{parts.path}",
        )
        reasons = []
        for place in places:
            try:
                document = await self._fetch(place)
            except KeysUnreachable as error:
                reasons.append(str(error))
                continue
            if isinstance(document.get("jwks_uri"), str) and document.get("issuer") == self._issuer:
                return str(document["jwks_uri"])
            reasons.append(f"{place} is not the metadata of this issuer")
        raise KeysUnreachable("; ".join(reasons))

    async def _fetch(self, url: str) -> Mapping[str, Any]:
        assert self._session is not None
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                body = await response.content.read(MOST_BYTES + 1)
                while not response.content.at_eof() and len(body) <= MOST_BYTES:
                    body += await response.content.read(MOST_BYTES + 1)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KeysUnreachable(f"{url}: {error or type(error).__name__}") from None
        if response.status != 200 or len(body) > MOST_BYTES:
            raise KeysUnreachable(f"{url} answered {response.status} with {len(body)} bytes")
        try:
            document = msgspec.json.decode(body)
        except msgspec.DecodeError:
            document = None
        if not isinstance(document, dict):
            raise KeysUnreachable(f"{url} answered no JSON object")
        return document


def usable_keys(document: Mapping[str, Any]) -> list[PublicKey]:
    """The signature keys of a JWKS. Others, and ones too weak or not understood, are left out (RFC 7517, 5).

    Symmetric keys are never taken: with them, whoever can check a token could make one.
    """
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise KeysUnreachable("the document has no keys")
    return [key for item in listed if isinstance(item, dict) and (key := _usable(item)) is not None]


def _usable(item: Mapping[str, Any]) -> PublicKey | None:
    weak = item.get("kty") == "RSA" and len(str(item.get("n"))) * 6 < SMALLEST_RSA  # base64: 6 bits a character
    if item.get("use", "sig") != "sig" or item.get("kty") not in ("RSA", "EC", "OKP") or weak:
        return None
    try:
        key = import_key({name: value for name, value in item.items() if name != "key_ops"})
    except (JoseError, ValueError, TypeError, KeyError):  # what joserfc raises for members that are no key
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None

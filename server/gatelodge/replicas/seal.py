"""Messages between replicas as bytes, signed with the secret that replicas share, where they have one."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

from ..signing import derive

MAC_BYTES = 16


class Told(msgspec.Struct, frozen=True, array_like=True):
    """One message: what kind it is of, what it is about, and what there is to say about that."""

    kind: str
    about: str
    data: Any = None


_decoder = msgspec.json.Decoder(Told)


class Seal:
    """Signs with the first key, and takes what any of them signed, so that keys can be replaced one replica at a time."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [derive(key, "messages between replicas") for key in keys]

    def close(self, told: Told) -> bytes:
        message = msgspec.json.encode(told)
        return self._mac(self._keys[0], message) + message if self._keys else message

    def open(self, data: bytes) -> Told | None:
        """The message, or None for one that is not signed as it should be or that another version wrote."""
        mac, message = (data[:MAC_BYTES], data[MAC_BYTES:]) if self._keys else (b"", data)
        if self._keys and not any(hmac.compare_digest(mac, self._mac(key, message)) for key in self._keys):
            return None
        try:
            return _decoder.decode(message)
        except msgspec.DecodeError:
            return None

    def _mac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, "sha256")[:MAC_BYTES]

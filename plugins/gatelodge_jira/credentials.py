"""Credentials at rest: encrypted by keys derived from `GATELODGE_SECRET_KEY`, of which several may be alive."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gatelodge import StartupError, derive


class Vault:
    """Encrypts with the first key, decrypts with any."""

    def __init__(self, keys: Sequence[str]) -> None:
        fernets = [Fernet(base64.urlsafe_b64encode(derive(key, "jira credentials"))) for key in keys]
        self._fernet = MultiFernet(fernets) if fernets else None

    def encrypt(self, text: str) -> bytes:
        return self._required().encrypt(text.encode())

    def decrypt(self, token: bytes) -> str:
        """Raises `StartupError` without the key it was encrypted with."""
        try:
            return self._required().decrypt(token).decode()
        except InvalidToken:
            raise StartupError(
                "setting_invalid", "GATELODGE_SECRET_KEY: it is not the one the credentials need"
            ) from None

    def _required(self) -> MultiFernet:
        if self._fernet is None:
            raise StartupError("setting_invalid", "GATELODGE_SECRET_KEY: stored Jira credentials need it to be set")
        return self._fernet

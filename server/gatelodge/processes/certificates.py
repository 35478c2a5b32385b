"""TLS by a certificate and key in files, which may be replaced while the server runs."""

from __future__ import annotations

import logging
import ssl

from ..errors import StartupError
from .settings import ProcessSettings

logger = logging.getLogger(__name__)


class Certificates:
    """`context` is what new connections are accepted with."""

    def __init__(self, certificate: str, key: str | None) -> None:
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(self.context)

    def reload(self) -> None:
        """Take the files as they are now; where they do not fit, what was loaded stays."""
        try:
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except StartupError as error:
            logger.error("the certificate is not reloaded: %s", error)

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error.strerror or str(error)
            raise StartupError("tls_invalid", f"GATELODGE_TLS_CERT and GATELODGE_TLS_KEY: {reason}") from None


def certificates(settings: ProcessSettings) -> Certificates | None:
    """None where no certificate is set. Raises `StartupError` for files that cannot be used."""
    if settings.certificate is None:
        if settings.key is not None:
            raise StartupError("tls_invalid", "GATELODGE_TLS_KEY is set, but not GATELODGE_TLS_CERT")
        return None
    return Certificates(settings.certificate, settings.key)

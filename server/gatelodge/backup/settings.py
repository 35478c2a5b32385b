"""Where backups go, and who may read what goes into them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from marshmallow import fields

from ..settings import setting
from ..storage.datafolder import DataFolder
from ..storage.embedded import SUPERUSER, default_data_dir
from ..storage.opening import StorageSettings
from ..storage.postgres import plain_dsn


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings:
    """`url` is for a role that row-level security does not bind."""

    folder: str = setting(
        "GATELODGE_BACKUP_DIR", fields.String(), default="backups", help="Folder that gatelodge backup writes to."
    )
    url: str | None = setting(
        "GATELODGE_BACKUP_URL",
        fields.String(),
        default=None,
        help="Postgres as a role that may read all rows (BYPASSRLS), for backups; DATABASE_URL by default.",
        secret=True,
    )


def reading_dsn(dsn: str, backup: BackupSettings, storage: StorageSettings) -> str:
    """The DSN to read everything with: the operator's, or the embedded server's own superuser, or just the server's.

    `dsn` is what `open_dsn` gave.
    """
    if backup.url is not None:
        return plain_dsn(backup.url)
    if not storage.embedded:
        return plain_dsn(dsn)
    folder = DataFolder.at(Path(storage.data_dir) if storage.data_dir else default_data_dir())
    parts = urlsplit(dsn)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name != "role"])
    return parts._replace(netloc=f"{SUPERUSER}:{quote(folder.secret())}@", query=query).geturl()

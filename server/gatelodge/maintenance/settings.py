"""How often chores are done, and how long the audit is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from marshmallow import fields, validate

from ..settings import setting
from ..storage.embedded import default_data_dir
from ..switches import Switch

RETENTION = "audit_retention_days"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSettings:
    """`interval` is in seconds."""

    interval: float = setting(
        "GATELODGE_MAINTENANCE_INTERVAL",
        fields.Float(validate=validate.Range(min=0)),
        default=3600.0,
        help="Seconds between two runs of the chores, whichever replica does them; 0 leaves them to a cron job.",
    )
    retention: int = setting(
        "GATELODGE_AUDIT_RETENTION_DAYS",
        fields.Integer(validate=validate.Range(min=1)),
        default=90,
        help="Days that audit rows are kept in the database.",
    )
    archive: str | None = setting(
        "GATELODGE_ARCHIVE_DIR",
        fields.String(),
        default=None,
        help="Folder for the audit's old months. Without it they stay, unless Postgres is the embedded one.",
    )

    def archive_folder(self, *, embedded: bool, data_dir: str | None = None) -> Path | None:
        """Where old months go: beside the embedded Postgres's data where nothing else is said, else nowhere."""
        if self.archive is not None:
            return Path(self.archive)
        return (Path(data_dir) if data_dir else default_data_dir()) / "archive" if embedded else None

    def switch(self) -> Switch:
        return Switch(
            name=RETENTION,
            kind=fields.Integer(strict=True, validate=validate.Range(min=1)),
            default=self.retention,
            help="Days that audit rows are kept in the database.",
        )

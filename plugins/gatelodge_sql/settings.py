"""What the operator may set for the SQL plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, validate

from gatelodge import setting

from .template import OWN_SOURCE

SCHEMES = ("postgres://", "postgresql://", "postgresql+asyncpg://")


class Sources(fields.Field[dict[str, str]]):
    """`name=dsn, other=dsn` as a mapping of name to DSN."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, str]:
        sources: dict[str, str] = {}
        for part in re.split(r",\s*(?=[A-Za-z0-9_-]+=postgres)", str(value).strip(" ,")):
            name, _, dsn = part.strip().partition("=")
            if not re.fullmatch(r"[a-z][a-z0-9_-]*", name) or not dsn.startswith(SCHEMES):
                raise ValidationError("It is a list of name=postgresql://…, with names of a-z, 0-9, _ and -.")
            if name in sources or name == OWN_SOURCE:
                raise ValidationError(f"The source {name} is there already.")
            sources[name] = dsn
        return sources


class ExistingFolder(fields.Field[Path]):
    """A folder that is there."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Path:
        if not Path(value).is_dir():
            raise ValidationError("There is no such folder.")
        return Path(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SQLSettings:
    templates: Path | None = setting(
        "GATELODGE_SQL_TEMPLATES", ExistingFolder(), default=None, help="Folder of your own .sql templates."
    )
    sources: Mapping[str, str] | None = setting(
        "GATELODGE_SQL_SOURCES",
        Sources(),
        default=None,
        help="Other Postgres databases for templates: name=dsn, name2=dsn2.",
        secret=True,
    )
    max_rows: int = setting(
        "GATELODGE_SQL_MAX_ROWS",
        fields.Integer(validate=validate.Range(min=1, max=100_000)),
        default=1000,
        help="Rows one call may answer; more are left to its cursor.",
    )
    max_bytes: int = setting(
        "GATELODGE_SQL_MAX_BYTES",
        fields.Integer(validate=validate.Range(min=1024)),
        default=2**20,
        help="Bytes of JSON rows one call may answer; more are left to its cursor.",
    )
    demo: bool = setting(
        "GATELODGE_DEMO_DATA",
        fields.Boolean(),
        default=True,
        help="Whether the embedded Postgres is filled with the demo story while it has nothing else.",
    )

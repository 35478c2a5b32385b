"""The bundle: one archive of all parts, without a secret of the environment in any of them."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from .. import __version__
from ..redaction import redact_text
from ..reference import known_settings
from .parts import PARTS, Part, Place
from .scrub import Scrubber

PART_TIMEOUT = 30.0


async def make(place: Place, file: Path, parts: Iterable[Part] = PARTS) -> Mapping[str, str]:
    """Write the archive, readable by us alone; answers why, for each part that could not be had.

    Raises `FileExistsError` and what else the file system raises.
    """
    scrubber = Scrubber(place.variables, known_settings())
    gathered = await asyncio.gather(*(_gather(part, place) for part in parts))
    missing = {part.file: why for part, (_, why) in zip(parts, gathered, strict=True) if why is not None}
    about = {"made_at": datetime.now(UTC), "version": __version__, "missing": missing}
    contents = {"bundle.json": _bytes(about)}
    contents |= {part.file: content for part, (content, _) in zip(parts, gathered, strict=True)}
    _write(file, {name: scrubber.clean(content) for name, content in contents.items()})
    return missing


async def _gather(part: Part, place: Place) -> tuple[bytes, str | None]:
    """The part's content, and why it is missing where it is."""
    try:
        async with asyncio.timeout(PART_TIMEOUT):
            return _bytes(await part.gather(place)), None
    except Exception as error:  # whatever a part raises, the others are wanted all the more
        why = redact_text(str(error) or type(error).__name__)
        return _bytes({"missing": why} if part.file.endswith(".json") else f"missing: {why}\n"), why


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2) + b"\n"


def _write(file: Path, contents: Mapping[str, bytes]) -> None:
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with open(descriptor, "wb") as opened, tarfile.open(fileobj=opened, mode="w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"{file.name.removesuffix('.tar.gz')}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(content))

"""Rows as NDJSON, and old months written to files, anchored and dropped."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from .anchors import Anchor, Signer, keep_anchors, make_anchor
from .ledger import COLUMNS, PLACE
from .record import Head, Record, Row
from .search import Filter, rows

if TYPE_CHECKING:
    from ..storage.postgres import Connection

PARTITIONS = """
SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE inhparent = 'audit_logs'::regclass ORDER BY relname"""
LAST = """
SELECT DISTINCT ON (tenant_id) tenant_id, seq, hash, created_at FROM {} ORDER BY tenant_id, seq DESC"""
JSON_FIELDS = frozenset(name for name, (_, kind) in COLUMNS.items() if kind == "json")


def row_line(row: Row) -> bytes:
    """A row as one line of NDJSON, without empty columns. JSON columns keep their very text: the hash is over it."""
    wire: dict[str, Any] = {"seq": row.seq, "created_at": row.created_at.astimezone(UTC)}
    for name in COLUMNS:
        value = getattr(row.record, name)
        if value is not None:
            wire[name] = msgspec.Raw(value.encode()) if name in JSON_FIELDS else value
    wire |= {name: getattr(row, name).hex() for name in ("prev_hash", "hash") if getattr(row, name) is not None}
    return msgspec.json.encode(wire)


def row_from(line: bytes) -> Row:
    """The row of a line that `row_line` wrote. Raises `ValueError` for what is none."""
    raw: Mapping[str, msgspec.Raw] = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    texts: dict[str, Any] = {name: bytes(raw[name]).decode() for name in JSON_FIELDS & raw.keys()}
    plain: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in raw.items() if name not in texts}
    try:
        place = {name: plain.pop(name) for name in PLACE}
        record = Record(tenant=UUID(plain.pop("tenant")), **plain, **texts)
        created_at = datetime.fromisoformat(place["created_at"])
        return Row(record, place["seq"], created_at, bytes.fromhex(place["prev_hash"]), bytes.fromhex(place["hash"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an audit row: {error}") from None


@dataclass(frozen=True, slots=True)
class Pruned:
    """A month that was dropped: its partition, how many rows it had, and the file they are in."""

    partition: str
    rows: int
    file: Path


async def prune(
    connection: Connection, folder: Path, keep: timedelta, signer: Signer | None = None
) -> AsyncIterator[Pruned]:
    """Drop each month that is all older than `keep`, after writing it to a file and anchoring where its chains stood.

    A month is dropped whole and only after those before it, so what stays of a chain is an unbroken end.
    """
    oldest = (datetime.now(UTC) - keep).date()
    for partition in [row[0] for row in await connection.fetch(PARTITIONS)]:
        ends = _end_of(partition)
        if ends is None or ends > oldest:
            return
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {partition} IN ACCESS EXCLUSIVE MODE")
            file = folder / f"{partition}.ndjson.gz"
            count = await _write(file, rows(connection, Filter(), partition))
            last = await connection.fetch(LAST.format(partition))
            await keep_anchors(connection, _last_anchors(last, signer))
            await connection.execute(f"DROP TABLE {partition}")
        yield Pruned(partition, count, file)


def read_file(path: Path) -> Iterable[Row]:
    """The rows of an exported or archived file."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            yield row_from(line)


async def _write(file: Path, found: AsyncIterator[Row]) -> int:
    """The file appears under its name only when it is whole and on the disk."""
    partial = file.with_suffix(".partial")
    count = 0
    with partial.open("wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb") as packed:
            async for row in found:
                packed.write(row_line(row) + b"\n")
                count += 1
        raw.flush()
        os.fsync(raw.fileno())
    partial.rename(file)
    return count


def _last_anchors(last: Sequence[Mapping[str, Any]], signer: Signer | None) -> list[Anchor]:
    return [
        make_anchor(row["tenant_id"], Head(row["seq"], row["hash"], row["created_at"]), "prune", signer)
        for row in last
        if row["hash"] is not None
    ]


def _end_of(partition: str) -> date | None:
    """The first day after a partition's month."""
    found = re.fullmatch(r"audit_logs_(\d{4})_(\d\d)", partition)
    return (date(int(found[1]), int(found[2]), 1) + timedelta(days=32)).replace(day=1) if found else None

"""The metrics of every process that serves on the same ports: whichever of them is asked answers for all.

Each listens on a unix socket in a folder that only their user may enter, and tells its metrics to who connects. A lock on a
file, which ends with its process, gives each a number that a successor takes over: the label `worker`. So a counter of one
worker begins anew when that worker does, which is what Prometheus' `rate` expects; a sum over all would seem to fall.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily

from ..errors import StartupError

PATIENCE = 2.0
"""Seconds that another process gets to answer."""
MOST = 1024

Told = list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]
"""Name, help, type and samples of each family."""


@contextmanager
def meeting_place() -> Iterator[Path]:
    """A folder for processes that are about to be started. Raises `StartupError`."""
    try:
        folder = TemporaryDirectory(prefix="gatelodge-")
    except OSError as error:
        raise _unusable(error) from None
    with folder as path:
        yield Path(path)


class Siblings:
    """This process among those that meet in `folder`."""

    def __init__(self, folder: Path, registry: CollectorRegistry) -> None:
        self._folder = folder
        self._registry = registry
        self._number = 0

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Be found by the others. Raises `StartupError`."""
        with _number(self._folder) as self._number:
            place = self._place(self._number)
            place.unlink(missing_ok=True)
            try:
                server = await asyncio.start_unix_server(self._tell, place)
            except OSError as error:
                raise _unusable(error) from None
            try:
                yield
            finally:
                server.close()
                place.unlink(missing_ok=True)

    async def families(self) -> list[Metric]:
        """Everyone's, by worker, and how many there are. Who does not answer in time is counted in place of theirs."""
        others = [number for number in self._numbers() if number != self._number]
        answers = await asyncio.gather(*(self._ask(number) for number in others))
        told = {number: answer for number, answer in zip(others, answers, strict=True) if answer}
        told[self._number] = _tellable(self._registry.collect())
        workers = GaugeMetricFamily(
            "gatelodge_workers", "Processes on these ports, by whether they answer.", labels=["state"]
        )
        workers.add_metric(["answering"], len(told))
        workers.add_metric(["silent"], sum(answer is None for answer in answers))
        return [*_merged(dict(sorted(told.items()))), workers]

    async def _ask(self, number: int) -> Told | None:
        """Nothing from one that is gone, None from one that hangs or breaks off."""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._place(number))
                try:
                    return msgspec.msgpack.decode(await reader.read(), type=Told)
                finally:
                    writer.close()
        except (TimeoutError, msgspec.DecodeError):
            return None
        except OSError:
            return []

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(msgspec.msgpack.encode(_tellable(self._registry.collect())))
            await writer.drain()
        writer.close()

    def _place(self, number: int) -> Path:
        return self._folder / f"{number}.socket"

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.socket"))


@contextmanager
def _number(folder: Path) -> Iterator[int]:
    """The first number that no living process has. The last one to leave takes the folder with it."""
    for number in range(MOST):
        path = folder / f"{number}.lock"
        lock = _locked(path)
        if lock is not None:
            try:
                yield number
            finally:
                path.unlink(missing_ok=True)
                os.close(lock)
                with suppress(OSError):  # others are still there
                    folder.rmdir()
            return
    raise StartupError("workers_too_many", f"more than {MOST} processes serve on the same ports")


def _locked(path: Path) -> int | None:
    """The descriptor of a file that is ours, None where it is another's."""
    while True:
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # the last one has just left
            continue
        except OSError as error:
            raise _unusable(error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == path.stat().st_ino:
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass
        os.close(lock)  # what we have locked was unlinked meanwhile


def _tellable(families: Iterable[Metric]) -> Told:
    return [
        (each.name, each.documentation, each.type, [(s.name, dict(s.labels), float(s.value)) for s in each.samples])
        for each in families
    ]


def _merged(told: Mapping[int, Told]) -> list[Metric]:
    """Each family once, its samples with the number of their worker."""
    merged: dict[str, Metric] = {}
    for number, families in told.items():
        for name, help, kind, samples in families:
            family = merged.setdefault(name, Metric(name, help, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {**labels, "worker": str(number)}, value)
    return list(merged.values())


def _unusable(error: OSError) -> StartupError:
    return StartupError(
        "folder_unusable", f"workers need a folder for their sockets, set TMPDIR to one: {error.strerror}"
    )

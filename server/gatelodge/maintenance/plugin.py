"""The chores as a plugin: run in the server, a moment after its start and at each interval."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..audit.anchors import Signer
from ..backup.settings import BackupSettings
from ..contract import HealthCheck
from ..hookspecs import hookimpl
from ..settings import Environment
from ..signing import SecretSettings
from ..storage import Storage
from ..storage.opening import StorageSettings
from ..switches import Switch, Switches
from .chores import Place
from .schedule import FAILURES, Run, last_runs, run_due
from .settings import RETENTION, MaintenanceSettings

if TYPE_CHECKING:
    from ..storage.postgres import Connection

logger = logging.getLogger(__name__)

FIRST_RUN = 30.0
"""Seconds after the start: what is done then slows no start down, and a server that lives briefly does none of it."""
LATE = 3
"""Intervals after which chores that nobody did are a fault."""


class MaintenancePlugin:
    """Its health is not critical: a server without maintenance serves."""

    def __init__(self) -> None:
        self._settings = MaintenanceSettings()
        self._places = Places(self._settings, StorageSettings(), SecretSettings())
        self._storage: Storage | None = None

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(MaintenanceSettings)
        self._places = Places.of(environment)
        environment.read(BackupSettings)  # the command's, but often set in the server's environment too

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        return (self._settings.switch(),)

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = "see what came of each chore: gatelodge maintenance status; do them now: gatelodge maintenance run"
        return (HealthCheck("maintenance", self.check, critical=False, advice=advice),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        self._storage = storage
        if not self._settings.interval:
            yield
            return
        task = asyncio.create_task(self._repeat(storage), name="maintenance")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def check(self) -> str:
        """Raises for chores that failed, or that no replica has done for long."""
        if self._storage is None:
            raise RuntimeError("not open")
        runs = await last_runs(self._storage.postgres)
        if failed := [run.name for run in runs if not run.ok]:
            raise ChoresFailed(", ".join(failed))
        if self._settings.interval and any(_age(run) > LATE * self._settings.interval for run in runs):
            raise ChoresLate
        return f"{len(runs)} chores done" if runs else "nothing done yet"

    async def _repeat(self, storage: Storage) -> None:
        interval = self._settings.interval
        await asyncio.sleep(min(FIRST_RUN, interval))
        while True:
            try:
                await run_due(storage.postgres, self._places.at(storage.switches), interval=interval)
            except FAILURES as error:
                logger.warning("maintenance waits: %s", error)
            await asyncio.sleep(interval)


class ChoresFailed(Exception):
    """Some were not done; `gatelodge maintenance status` tells which, and why."""


class ChoresLate(Exception):
    """Nobody has done them for several intervals."""


class Places:
    """Where chores work, for a server and for a command alike."""

    def __init__(self, settings: MaintenanceSettings, storage: StorageSettings, secret: SecretSettings) -> None:
        self._archive = settings.archive_folder(embedded=storage.embedded, data_dir=storage.data_dir)
        self._signer = Signer(secret.current) if secret.current else None

    @classmethod
    def of(cls, environment: Environment) -> Places:
        return cls(
            environment.read(MaintenanceSettings), environment.read(StorageSettings), environment.read(SecretSettings)
        )

    def at(self, switches: Switches) -> Callable[[Connection], Place]:
        """Makes the place around a connection, with the retention as it is set at that moment."""

        def place(connection: Connection) -> Place:
            days = timedelta(days=switches.get(RETENTION))
            return Place(connection=connection, retention=days, archive=self._archive, signer=self._signer)

        return place


def _age(run: Run) -> float:
    """In seconds."""
    return (datetime.now(UTC) - run.finished_at).total_seconds() if run.finished_at else 0.0

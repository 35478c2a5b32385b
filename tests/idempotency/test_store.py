"""The table of keys under any interleaving, crash and clock: at most one effect and one fingerprint to a key."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gatelodge.audit.batch import Batch, Job
from gatelodge.audit.record import Record
from gatelodge.audit.verify import verify
from gatelodge.idempotency.store import Held, Key, Opening, Settlement, expire, look, renew, take_over

TENANT = UUID(int=1)
TRUNCATE = "SET session_replication_role = replica; TRUNCATE audit_logs; DELETE FROM audit_heads"
INTENT = Record(tenant=TENANT, kind="intent", request_id="r")
OUTCOME = Record(tenant=TENANT, kind="outcome", request_id="r", outcome="ok")
KEYS = st.sampled_from([Key(TENANT, "t", "a"), Key(TENANT, "t", "b")])
PRINTS = st.sampled_from([b"one", b"two"])


@dataclass(slots=True)
class Life:
    """A key from its claim until it is freed, or expires: what it may be used for, and what it did."""

    fingerprint: bytes
    fence: int
    effects: int = 0
    result: str | None = None


@dataclass(eq=False, slots=True)
class Worker:
    """A call at work somewhere. It holds a fence, which may long be someone else's."""

    key: Key
    fence: int
    life: Life
    acts: bool
    acted: bool = False


class Keys(RuleBasedStateMachine):
    """Callers, workers, crashes and clocks in any order, each step one transaction in a real Postgres."""

    workers = Bundle("workers")

    def __init__(self, superuser: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.connection = self.run(asyncpg.connect(superuser))
        self.run(self.connection.execute(f"DELETE FROM idempotency_keys; {TRUNCATE}"))
        self.lives: dict[Key, Life] = {}

    def teardown(self) -> None:
        faults = self.run(self.faults())
        self.run(self.connection.close())
        self.runner.close()
        assert faults in ([], [None])

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    async def faults(self) -> list[Any]:
        return [verdict.fault async for verdict in verify(self.connection)]

    def write(self, *jobs: Job) -> None:
        self.run(Batch(list(jobs)).commit(self.connection))

    # --- callers ---

    @rule(target=workers, key=KEYS, print_=PRINTS, together=st.integers(1, 3))
    def call(self, key: Key, print_: bytes, together: int) -> Any:
        """One call, or a few in one batch: the first may have the key, the others are told what they find."""
        openings = [Opening(key, print_, "r", 1000.0, 1000.0) for _ in range(together)]
        self.write(*(Job(INTENT, opening) for opening in openings))
        winners = [opening for opening in openings if opening.fence is not None]
        if winners:
            assert winners == openings[:1]
            assert key not in self.lives
            self.lives[key] = Life(print_, winners[0].fence or 0)
        for loser in openings[len(winners) :]:
            self.told(key, loser.held)
        if not winners:
            return self.reconcile(key, print_, openings[0].held)
        return Worker(key, winners[0].fence or 0, self.lives[key], acts=True)

    def told(self, key: Key, held: Held | None) -> None:
        life = self.lives[key]
        assert held is not None
        assert held.fingerprint == life.fingerprint
        assert held.state != "done" or held.result == life.result

    def reconcile(self, key: Key, print_: bytes, held: Held | None) -> Any:
        """Who finds the outcome uncertain takes the key over, to look; it never acts."""
        if held is None or not held.uncertain or held.fingerprint != print_:
            return Worker(key, -1, self.lives[key], acts=False)
        fence = self.run(take_over(self.connection, key, held.fence, 1000.0))
        assert fence is not None
        assert self.run(take_over(self.connection, key, held.fence, 1000.0)) is None
        self.lives[key].fence = fence
        return Worker(key, fence, self.lives[key], acts=False)

    # --- workers ---

    @rule(worker=workers)
    def act(self, worker: Worker) -> None:
        """The effect, however late. Nothing can stop a worker that holds a claim from having it, once."""
        if worker.acts and not worker.acted:
            worker.acted = True
            worker.life.effects += 1

    @rule(worker=consumes(workers), torn=st.booleans())
    def finish(self, worker: Worker, torn: bool) -> None:
        """What the worker knows settles the key, if the fence is still its own."""
        found = worker.acted if worker.acts else worker.life.effects > 0
        if worker.acts and not worker.acted:
            return self.settle(worker, "free", None)
        return self.settle(worker, *(("done", f'"{worker.fence}"') if found and not torn else ("unknown", None)))

    def settle(self, worker: Worker, state: Any, result: str | None) -> None:
        step = Settlement(worker.key, worker.fence, state, result)
        self.write(Job(OUTCOME, step))
        assert step.kept == (self.lives.get(worker.key) is worker.life and worker.life.fence == worker.fence)
        if not step.kept:
            return
        if state == "free":
            del self.lives[worker.key]
        else:
            worker.life.result = result

    @rule(worker=consumes(workers))
    def crash(self, worker: Worker) -> None:
        """It is never heard of again."""

    @rule(worker=workers)
    def keep(self, worker: Worker) -> None:
        self.run(renew(self.connection, [(worker.key, worker.fence)], 1000.0))

    # --- time ---

    @rule(seconds=st.integers(-5000, 5000))
    def skew(self, seconds: int) -> None:
        """Postgres's clock jumps, or much time goes by: leases lapse under workers that still run, or come back."""
        statement = "UPDATE idempotency_keys SET lease_until = lease_until - $1 * interval '1 second'"
        self.run(self.connection.execute(statement, seconds))

    @rule(delete=st.booleans())
    def grow_old(self, delete: bool) -> None:
        """Results reach the end of their time, and may be deleted or claimed over; what is not settled stays."""
        old = "UPDATE idempotency_keys SET expires_at = expires_at - $1::interval, created_at = created_at - $1"
        self.run(self.connection.execute(old, timedelta(seconds=2000)))
        if delete:
            self.run(expire(self.connection))
        self.lives = {key: life for key, life in self.lives.items() if life.result is None}

    # --- what always holds ---

    @invariant()
    def one_effect_and_one_fingerprint(self) -> None:
        assert all(life.effects <= 1 for life in self.lives.values())
        held = self.run(look(self.connection, list(self.lives))) if self.lives else {}
        assert {key: found.fingerprint for key, found in held.items()} == {
            key: life.fingerprint for key, life in self.lives.items()
        }


def test_a_key_has_one_effect_and_one_fingerprint(superuser: str) -> None:
    """Whatever callers, workers, crashes and clocks do, in whatever order."""
    limits = settings(
        max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(lambda: Keys(superuser), settings=limits)


async def test_claims_in_one_batch_share_nothing_but_the_transaction(database: str) -> None:
    """Of many keys claimed together each has its own fence, and settling some leaves the others alone."""
    connection = await asyncpg.connect(database)
    try:
        openings = [Opening(Key(TENANT, "t", str(n)), b"f", "r", 10.0, 10.0) for n in range(20)]
        await Batch([Job(INTENT, step) for step in openings]).commit(connection)
        assert len({step.fence for step in openings}) == 20
        ends = [Settlement(step.key, step.fence or 0, "done", '"x"') for step in openings[:7]]
        frees = [Settlement(step.key, step.fence or 0, "free") for step in openings[7:9]]
        stale = [Settlement(openings[9].key, (openings[9].fence or 0) - 1, "done", '"y"')]
        await Batch([Job(OUTCOME, step) for step in (*ends, *frees, *stale)]).commit(connection)
        held = await look(connection, [step.key for step in openings])
        assert [step.kept for step in (*ends, *frees, *stale)] == [True] * 9 + [False]
        assert sorted(found.state for found in held.values()) == ["claimed"] * 11 + ["done"] * 7
    finally:
        await connection.close()

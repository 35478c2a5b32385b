"""The arithmetic of GCRA, the generic cell rate algorithm, in whole microseconds.

A bucket is one number: the theoretical arrival time, at which it would be full again. A bucket whose time has passed is
full and need not be kept. Over any time t a policy lets through at most `burst + t * amount / window`.

Source: ITU-T I.371, annex A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .quota import Quota

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Policy:
    """One limit on one kind of subject. A `shadow` policy is counted, but refuses nothing.

    `emission` is the microseconds one unit takes to come back, rounded up; `capacity` those of a
    whole burst; `header` is its member of `RateLimit-Policy`.
    """

    name: str
    subject: str
    quota: Quota
    shadow: bool = False
    burst: int = field(init=False)
    emission: int = field(init=False)
    capacity: int = field(init=False)
    header: str = field(init=False)

    def __post_init__(self) -> None:
        burst = self.quota.burst or self.quota.amount
        emission = -(-self.quota.window * SECOND // self.quota.amount)
        object.__setattr__(self, "burst", burst)
        object.__setattr__(self, "emission", emission)
        object.__setattr__(self, "capacity", emission * burst)
        object.__setattr__(self, "header", f'"{self.name}";q={self.quota.amount};w={self.quota.window}')

    def increment(self, cost: int) -> int:
        """Microseconds that `cost` units take. A call dearer than the burst takes all of it, or it could never run."""
        return min(cost, self.burst) * self.emission


class Bucket(NamedTuple):
    """What one policy holds for one subject, under its key in the store."""

    key: str
    policy: Policy


class Level(NamedTuple):
    """How a bucket stands after the decision: its arrival time, and for how many microseconds it refuses this call."""

    policy: Policy
    arrival: int
    wait: int

    def remaining(self, now: int) -> int:
        """Units that may be taken at once."""
        return (self.policy.capacity - (self.arrival - now)) // self.policy.emission

    def full_in(self, now: int) -> int:
        """Whole seconds until the bucket is full, rounded up."""
        return -(-(self.arrival - now) // SECOND)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision over all buckets of a call, at `now` microseconds of the store's clock.

    `local` says that the buckets were this process's own because Redis was gone.
    """

    now: int
    allowed: bool
    levels: tuple[Level, ...]
    local: bool = False

    @property
    def refusing(self) -> Level | None:
        """The level with the longest wait, of those that refuse the call."""
        refusing = [level for level in self.levels if level.wait and not level.policy.shadow]
        return max(refusing, key=lambda level: level.wait, default=None)

    @property
    def shadowed(self) -> tuple[Level, ...]:
        """Levels that would refuse the call if they were not in shadow."""
        return tuple(level for level in self.levels if level.wait and level.policy.shadow)


def decide(now: int, arrivals: Sequence[int], buckets: Sequence[Bucket], cost: int) -> Verdict:
    """Take `cost` from every bucket, or from none when one that is not in shadow has too little.

    `arrivals` are what the store holds, 0 for nothing. `gcra.lua` is the same in Redis, and both answer to one test.
    """
    weighed = [_weigh(now, at, bucket.policy, cost) for at, bucket in zip(arrivals, buckets, strict=True)]
    allowed = not any(wait and not policy.shadow for policy, _, _, wait in weighed)
    levels = [Level(policy, after if allowed and not wait else before, wait) for policy, before, after, wait in weighed]
    return Verdict(now, allowed, tuple(levels))


def _weigh(now: int, at: int, policy: Policy, cost: int) -> tuple[Policy, int, int, int]:
    """The arrival time before and after the cost is taken, and the wait until there is enough."""
    # A time further ahead than a whole burst can only come of a clock that was set back, or a quota that was lowered.
    before = min(max(at, now), now + policy.capacity)
    after = before + policy.increment(cost)
    return policy, before, after, max(0, after - now - policy.capacity)

"""What an operator writes: `100/minute, 1000/hour, 10000/day`, `20/10s`, `600/minute burst 50`, or `off`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
SYMBOLS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OFF = "off"

_QUOTA = re.compile(r"(\d{1,9})/(?:(second|minute|hour|day)|(\d{1,7})([smhd]))(?: burst (\d{1,9}))?")
_LONGEST = 366 * 86400


@dataclass(frozen=True, slots=True)
class Quota:
    """`amount` calls in each `window` of seconds; `burst` of them, or all where it is None, may come at once."""

    amount: int
    window: int
    burst: int | None = None

    @property
    def label(self) -> str:
        """The window in words, as it stands in the name of a policy: `minute`, `10s`."""
        return next((unit for unit, seconds in UNITS.items() if seconds == self.window), f"{self.window}s")

    def __str__(self) -> str:
        """As an operator writes it."""
        return f"{self.amount}/{self.label}" + (f" burst {self.burst}" if self.burst is not None else "")


def parse_quota(text: str) -> Quota:
    """One quota. Raises `ValueError` that says what is wrong."""
    match = _QUOTA.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text.strip()!r} is not like 100/minute, 20/10s or 600/minute burst 50")
    amount, unit, count, symbol, burst = match.groups()
    quota = Quota(int(amount), UNITS[unit] if unit else int(count) * SYMBOLS[symbol], int(burst) if burst else None)
    if quota.amount < 1 or quota.window < 1 or quota.burst == 0 or quota.window > _LONGEST:
        raise ValueError(f"{text.strip()!r}: amount, window and burst are 1 or more, the window a year or less")
    return quota


def parse_quotas(text: str) -> tuple[Quota, ...]:
    """Quotas in one setting, none for `off`. Raises `ValueError`, for two of the same window too."""
    if text.strip().lower() == OFF:
        return ()
    quotas = tuple(parse_quota(part) for part in text.split(",") if part.strip())
    if not quotas or len({quota.window for quota in quotas}) < len(quotas):
        raise ValueError("each window once, at least one, or off")
    return quotas


class Quotas(fields.Field[tuple[Quota, ...]]):
    """A setting of quotas, separated by commas."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[Quota, ...]:
        try:
            return parse_quotas(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return ",".join(str(quota) for quota in value)

"""Dates and times in JQL: written out, relative to now, or by function. All in UTC; weeks begin on Monday."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from .jql import Function, JQLError, Operand, Value

FORMATS = ("%Y/%m/%d %H:%M", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%Y-%m-%d")
PERIOD = re.compile(r"(?P<sign>[+-]?)(?:\d+[wdhm]\s*)+")
PART = re.compile(r"(\d+)([wdhm])")
UNITS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
STEP = re.compile(r"(?P<count>[+-]?\d+)(?P<unit>[yMwdhm]?)")
BOUNDS = ("startOf", "endOf")
SPANS = {"day": "d", "week": "w", "month": "M", "year": "y"}
INSTANT = timedelta(milliseconds=1)


def moment(field: str, operand: Operand, now: datetime) -> datetime:
    """The time that an operand means. Raises `JQLError` that names the field."""
    match operand:
        case Value(text):
            return _written(field, text, now)
        case Function(name, arguments):
            return _function(name, arguments, now)
        case _:
            raise JQLError(f"The operand is not a date for the field '{field}'.")


def _written(field: str, text: str, now: datetime) -> datetime:
    try:
        if period := PERIOD.fullmatch(text):
            length = sum((int(count) * UNITS[unit] for count, unit in PART.findall(text)), timedelta())
            return now - length if period["sign"] == "-" else now + length
        return _date(text)
    except (ValueError, OverflowError):
        raise JQLError(
            f"Date value '{text}' for field '{field}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', "
            "'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
        ) from None


def _date(text: str) -> datetime:
    for form in FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError(text)


def _function(name: str, arguments: tuple[str, ...], now: datetime) -> datetime:
    if name.lower() == "now" and not arguments:
        return now
    for bound in BOUNDS:
        span = SPANS.get(name.lower().removeprefix(bound.lower()))
        if name.lower().startswith(bound.lower()) and span and len(arguments) <= 1:
            return _bound(name, span, arguments, now, end=bound == "endOf")
    raise JQLError(f"Unable to find JQL function '{name}({', '.join(arguments)})'.")


def _bound(name: str, span: str, arguments: tuple[str, ...], now: datetime, *, end: bool) -> datetime:
    step = STEP.fullmatch(arguments[0] if arguments else "0")
    if step is None:
        raise JQLError(f"The argument '{arguments[0]}' of '{name}' is not a duration, such as '-1' or '-2w'.")
    try:
        start = _start(_moved(now, int(step["count"]), step["unit"] or span), span)
        return _moved(start, 1, span) - INSTANT if end else start
    except (ValueError, OverflowError):
        raise JQLError(f"The argument '{arguments[0]}' of '{name}' is out of range.") from None


def _start(at: datetime, span: str) -> datetime:
    day = datetime.combine(at.date(), time(), UTC)
    match span:
        case "w":
            return day - timedelta(days=day.weekday())
        case "M":
            return day.replace(day=1)
        case "y":
            return day.replace(month=1, day=1)
        case _:
            return day


def _moved(at: datetime, count: int, unit: str) -> datetime:
    if unit in UNITS:
        return at + count * UNITS[unit]
    months = at.year * 12 + at.month - 1 + count * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    return at.replace(year=year, month=month + 1, day=min(at.day, _days(year, month + 1)))


def _days(year: int, month: int) -> int:
    following = datetime(year + month // 12, month % 12 + 1, 1)
    return (following - timedelta(days=1)).day

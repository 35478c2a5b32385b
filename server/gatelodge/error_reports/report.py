"""What is told of a failure: what was called, what was raised and where. Never what it was called with."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..contract import Call, Event
from ..webhooks.message import Message

MOST_FRAMES = 50
MOST_CAUSES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What failed: a call of something registered, or a request that never became one. Names are ours, not the caller's."""

    kind: str
    name: str
    plugin: str | None
    door: str | None
    request_id: str

    @classmethod
    def of_call(cls, call: Call) -> Subject:
        name = call.target.item.uri if call.kind == "resource" else call.name
        return cls(kind=call.kind, name=name, plugin=call.owner, door=call.door, request_id=call.request_id)

    @classmethod
    def of_event(cls, event: Event) -> Subject:
        name = str(event.detail.get("route", event.action))
        return cls(kind=event.action, name=name, plugin=None, door=event.door, request_id=event.request_id)


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of a traceback. `code` is the line's source; values of variables are nowhere."""

    file: str
    line: int
    function: str
    code: str


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception by its type: its message may quote what a caller sent, so it stays in the log. Innermost frame last."""

    type: str
    module: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`raised` begins with the exception itself, followed by what caused it; `left_out` counts others like it since the last."""

    subject: Subject
    raised: tuple[Raised, ...]
    left_out: int = 0
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, subject: Subject, error: BaseException) -> Report:
        return cls(subject=subject, raised=tuple(_raised(item) for item in _chain(error)))

    @property
    def place(self) -> tuple[str, str, int]:
        """What two failures have in common that are the same one twice: the type, and the line that raised it."""
        first = self.raised[0]
        last = first.frames[-1] if first.frames else Frame("", 0, "", "")
        return first.type, last.file, last.line

    def message(self, *, version: str, replica: str) -> Message:
        subject = self.subject
        text = f"{self.raised[0].type} in {subject.kind} {subject.name}; the log has it under {subject.request_id}."
        data = {"version": version, "replica": replica, **asdict(subject)}
        data |= {"raised": [asdict(item) for item in self.raised], "left_out": self.left_out}
        return Message(type="error.reported", text=text, data=data, at=self.at)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes, as a traceback would show them."""
    current: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if current is None:
            return
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _raised(error: BaseException) -> Raised:
    stack = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
    frames = tuple(Frame(_short(item.filename), item.lineno or 0, item.name, item.line or "") for item in stack)
    return Raised(type(error).__qualname__, type(error).__module__, frames)


def _short(filename: str) -> str:
    """Without the folder it is imported from, whose name may be a person's."""
    path = Path(filename)
    roots = [Path(entry) for entry in sys.path if entry and path.is_relative_to(entry)]
    return str(path.relative_to(max(roots, key=lambda root: len(root.parts)))) if roots else path.name

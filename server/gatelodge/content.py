"""What a result, a prompt or a question to a model holds: blocks of content, and the icons of what is listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """Whom content is for, how much it matters (0 to 1), and when it last changed. Source: MCP `Annotations`."""

    audience: tuple[Role, ...] = ()
    priority: float | None = None
    last_modified: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Icon:
    """A picture a client may show; `src` is an https or data URI, `sizes` are like `48x48` or `any`."""

    src: str
    mime_type: str | None = None
    sizes: tuple[str, ...] = ()
    theme: Literal["light", "dark"] | None = None


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    hints: Hints | None = None


@dataclass(frozen=True, slots=True)
class Image:
    data: bytes
    mime_type: str
    hints: Hints | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    data: bytes
    mime_type: str
    hints: Hints | None = None


@dataclass(frozen=True, slots=True)
class TextContents:
    uri: str
    text: str
    mime_type: str = "text/plain"
    meta: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BlobContents:
    uri: str
    blob: bytes
    mime_type: str = "application/octet-stream"
    meta: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    resource: TextContents | BlobContents
    hints: Hints | None = None


@dataclass(frozen=True, slots=True)
class ResourceLink:
    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    icons: tuple[Icon, ...] = ()
    hints: Hints | None = None


Content = Text | Image | Audio | Embedded | ResourceLink


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: Content

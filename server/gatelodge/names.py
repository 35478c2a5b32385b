"""Names of tools, and the patterns of names that operators write.

A tool goes by its own name, `jira.search`, and by its alias, `jira_search`. Whatever an operator writes for one counts for
both: a pattern that matched neither would protect nothing, and say so to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def alias(name: str) -> str:
    """The name for client back ends that allow only `[A-Za-z0-9_-]`."""
    return name.replace(".", "_")


def matches(name: str, patterns: Iterable[str] | None) -> bool:
    """Whether an allow-list of names and glob patterns allows the name; `None` allows all."""
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def matches_tool(name: str, patterns: Iterable[str] | None) -> bool:
    """The same for a tool, by its own name or its alias."""
    return patterns is None or any(fnmatchcase(each, p) for p in patterns for each in (name, alias(name)))


def shown(name: str) -> str:
    """What somebody called something, quoted, as far as a message has room for it."""
    return repr(name if len(name) <= 200 else f"{name[:200]}…")

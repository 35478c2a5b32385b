"""One Jira: where it is and how we sign in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Flavour = Literal["cloud", "datacenter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """`url` is where the REST API is, `site` where people browse. Without a `flavour` the server is asked for it.

    `public_only` refuses private addresses: a tenant's own instance may not reach into the operator's network.
    """

    id: str
    url: str
    site: str
    authorization: str | None = field(default=None, repr=False)
    flavour: Flavour | None = None
    public_only: bool = False
    sandbox: bool = False

"""Settings that live in Postgres: typed, changed while the server runs, the same on every replica within a second."""

from .changes import Changes
from .registry import Switch, Switches

__all__ = ["Changes", "Switch", "Switches"]

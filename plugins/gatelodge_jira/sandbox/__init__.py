"""The sandbox Jira: a server with Jira's API over demo data, for when no Jira is configured, and for tests."""

from .server import Flavour, Sandbox, sandbox
from .story import INSTANCE, SEED, Story, generate

__all__ = ["INSTANCE", "SEED", "Flavour", "Sandbox", "Story", "generate", "sandbox"]

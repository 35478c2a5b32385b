"""The kit: a Postgres, databases, and a server to open."""

pytest_plugins = ["gatelodge.testing"]

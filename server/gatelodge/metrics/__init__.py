"""Metrics: what is counted, under which names, and how it is read."""

from .reading import Reading

__all__ = ["Reading"]

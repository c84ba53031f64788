"""A store that keeps nothing: the port in plain Python, for tests and `store.dsn = "memory:"`."""

from adapters.memory.store import MemoryStore

__all__ = ["MemoryStore"]

"""Everything that talks to the outside; found by entry point, never imported by `gateway`.

To write an adapter:

1. One file (or folder) here that implements a Protocol of `gateway.ports`.
2. One line in `pyproject.toml` under `[project.entry-points."sightline.<group>"]`.
3. Map the library's errors to `gateway.errors` or to an `Answer` in one place, by a table.
4. Take deadlines from the caller; never raise for what the watched device did wrong.
5. Run `make setup test`: the contract tests pick the new adapter up by its entry point.
"""

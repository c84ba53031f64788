"""The SQL of this adapter: named blocks of `queries.sql`, read once."""

from importlib import resources
from types import MappingProxyType

_MARK = "-- name: "


def parse(text: str) -> dict[str, str]:
    """Split a file of blocks, each opened by `-- name: some_name`, into SQL by name.

    Raises:
        ValueError: a name is given twice.
    """
    blocks: dict[str, str] = {}
    for block in text.split(_MARK)[1:]:
        name, _, body = block.partition("\n")
        if name.strip() in blocks:
            msg = f"queries.sql names {name.strip()!r} twice"
            raise ValueError(msg)
        blocks[name.strip()] = body.strip()
    return blocks


SQL = MappingProxyType(
    parse((resources.files(__package__) / "queries.sql").read_text(encoding="utf-8"))
)

"""The SQL of this adapter: named blocks of its `.sql` files, read once."""

from importlib import resources
from types import MappingProxyType

_MARK = "-- name: "
_FILES = ("queries.sql", "coverage.sql", "events.sql")


def parse(text: str) -> dict[str, str]:
    """Split text of blocks, each opened by `-- name: some_name`, into SQL by name.

    Raises:
        ValueError: a name is given twice.
    """
    blocks: dict[str, str] = {}
    for block in text.split(_MARK)[1:]:
        name, _, body = block.partition("\n")
        if name.strip() in blocks:
            msg = f"the SQL files name {name.strip()!r} twice"
            raise ValueError(msg)
        blocks[name.strip()] = body.strip()
    return blocks


def _text() -> str:
    folder = resources.files(__package__)
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in _FILES)


SQL = MappingProxyType(parse(_text()))

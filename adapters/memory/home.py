"""What the parts of the memory store ask of the whole, and what they share."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

from gateway.domain.archive import ImportRecord
from gateway.domain.camera import Camera, ChannelId
from gateway.domain.ledger import GatewayGap

R = TypeVar("R")


class Home(Protocol):
    """The store that a part belongs to."""

    def check_open(self) -> None:
        """Raises `StoreUnavailable` where the store is closed."""
        ...

    def cameras(self) -> Mapping[ChannelId, Camera]:
        """The cameras of the current archive."""
        ...

    def gaps(self) -> Iterable[GatewayGap[datetime]]:
        """When the gateway itself did not watch."""
        ...

    def add_import(self, record: ImportRecord) -> None:
        """Remember an import, once."""
        ...


def page(
    rows: Iterable[R],
    sort_key: Callable[[R], tuple[datetime, str]],
    limit: int,
    after: tuple[datetime, str] | None,
) -> tuple[list[R], tuple[datetime, str] | None]:
    """Some rows, newest first, and the sort key to go on after, if there are more."""
    found = [row for row in rows if after is None or sort_key(row) < after]
    found.sort(key=sort_key, reverse=True)
    some = found[:limit]
    more = len(found) > limit and bool(some)
    return some, sort_key(some[-1]) if more else None


def overlaps(
    begins: datetime, ends: datetime | None, since: datetime | None, until: datetime | None
) -> bool:
    """Whether a half-open interval and a half-open window have a moment in common."""
    return (until is None or begins < until) and (since is None or ends is None or ends > since)

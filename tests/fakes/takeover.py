"""A desk for the takeover list that notes what it is asked, for the web side alone."""

from collections.abc import Sequence

from gateway.domain.camera import ChannelId


class TakeoverDesk:
    """Attributes: asked: cameras, who and why of each call."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[ChannelId], str, str]] = []

    async def accept(self, channels: Sequence[ChannelId], actor: str, reason: str) -> None:
        """Note it."""
        self.asked.append((list(channels), actor, reason))

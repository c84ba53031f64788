"""What another process wrote (the command line, another API worker) is noticed: one loop for all of it."""

import asyncio
from typing import Protocol

LOOK_S = 2.0
"""What another process wrote is noticed after so long."""


class Held(Protocol):
    """What is known of something that other processes set too: postures, mutes."""

    async def look(self) -> None:
        """Take what others wrote; what cannot be read now is looked at the next time."""
        ...


async def watch(*held: Held) -> None:
    """Look at the store until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        for one in held:
            await one.look()

"""Who can bear witness that the gateway still sees: no witness, no offline (semantics §4)."""

from collections.abc import Collection

from gateway.domain.camera import NodeId
from gateway.domain.observation import Instant

CANARY = NodeId("canary")
"""Branch name of the canaries: they witness for everybody."""
NEVER = Instant(float("-inf"))


class Witness:
    """Remembers the newest good answers, of two different branches.

    A branch is a child of the core. A loss in one branch is witnessed by an answer from another
    branch or from a canary, received after the loss was first noticed.
    """

    __slots__ = ("_branch", "_last", "_newest", "_second")

    def __init__(self) -> None:
        self._last: dict[NodeId, Instant] = {}
        self._branch: NodeId | None = None
        self._newest = float("-inf")
        self._second = float("-inf")
        # _second is the newest answer of any branch other than _branch.

    @property
    def newest(self) -> Instant:
        """When the last good answer of all was received (-inf: none yet)."""
        return Instant(self._newest)

    def good(self, branch: NodeId, received: Instant) -> None:
        """A good answer came in."""
        if received > self._last.get(branch, NEVER):
            self._last[branch] = received
        if branch == self._branch:
            self._newest = max(self._newest, received)
        elif received >= self._newest:
            self._second = self._newest
            self._branch, self._newest = branch, received
        else:
            self._second = max(self._second, received)

    def seen_since(self, branch: NodeId, at: Instant) -> bool:
        """True when somebody outside `branch` gave a good answer after `at`."""
        return (self._second if branch == self._branch else self._newest) > at

    def seen_outside(self, branches: Collection[NodeId], at: Instant) -> bool:
        """True when somebody in none of the branches gave a good answer after `at`.

        For a node that carries several branches, such as the core: only a canary is left then.
        """
        return any(last > at for branch, last in self._last.items() if branch not in branches)

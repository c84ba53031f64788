"""What a camera's state means for its view (可视范围)."""

from collections.abc import Set as AbstractSet
from enum import StrEnum

from gateway.domain.ledger import State
from gateway.domain.observation import FaultCause


class ViewState(StrEnum):
    """Whether a view counts. A place is as good as the best view on it."""

    SEEING = "seeing"
    DEGRADED = "degraded"
    """It sees, but not at its level (picture fault)."""
    UNVERIFIED = "unverified"
    """It answers, but what it sees may not be what the archive says."""
    UNKNOWN = "unknown"
    """We could not watch."""
    NOT_SEEING = "not_seeing"


_OF_FAULT = {
    FaultCause.STREAM: ViewState.NOT_SEEING,
    FaultCause.PICTURE: ViewState.DEGRADED,
    FaultCause.WRONG_DEVICE: ViewState.UNVERIFIED,
    FaultCause.NOT_ONVIF: ViewState.UNVERIFIED,
    FaultCause.BAD_RESPONSE: ViewState.UNVERIFIED,
    FaultCause.TLS: ViewState.UNVERIFIED,
}
"""Faults that are not named leave the view as it is: a wrong clock still sees."""
_BEST_FIRST = tuple(ViewState)


def view_state(state: State, faults: AbstractSet[FaultCause], *, answers: bool) -> ViewState:
    """The state of a channel's view.

    Args:
        state: of the channel.
        faults: its open faults.
        answers: in maintenance, whether it answers all the same (then it still sees).
    """
    if state is State.UNKNOWN:
        return ViewState.UNKNOWN
    if state in {State.OFFLINE, State.DECOMMISSIONED}:
        return ViewState.NOT_SEEING
    if state is State.MAINTENANCE and not answers:
        return ViewState.NOT_SEEING
    found = (_OF_FAULT.get(cause, ViewState.SEEING) for cause in faults)
    return max(found, key=_BEST_FIRST.index, default=ViewState.SEEING)

"""Ending a silence before its time."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.alerting.mute import mute_ended, mute_to_end, told
from gateway.domain.alerting.posture import muted_by
from gateway.domain.alerting.rows import Mute
from gateway.errors import Refused

NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MUTE = Mute("m", "张工", "换杆", NOON, NOON + 4 * HOUR, kind="door")


def test_what_is_ended_covers_nothing_any_more() -> None:
    ended = mute_ended(mute_to_end([MUTE], "m", NOON + HOUR), NOON + HOUR)

    assert (ended.from_at, ended.until_at) == (NOON, NOON + HOUR)
    assert muted_by([ended], kind="door", area="", key="k", at=NOON + HOUR) is None


def test_one_that_is_to_come_never_will() -> None:
    ended = mute_ended(MUTE, NOON - HOUR)

    assert ended.from_at == ended.until_at == NOON - HOUR


@pytest.mark.parametrize(("mute_id", "at"), [("other", NOON), ("m", NOON + 4 * HOUR)])
def test_one_that_is_not_there_or_over_cannot_be_ended(mute_id: str, at: datetime) -> None:
    with pytest.raises(Refused, match=f"no mute that holds or will has the id {mute_id}"):
        mute_to_end([MUTE], mute_id, at)


def test_the_audit_log_says_what_is_silenced_by_whom_and_why() -> None:
    assert told(MUTE) == "door all all until 2026-03-01T08:00:00+00:00, by 张工: 换杆"

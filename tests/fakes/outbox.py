"""A store with alerts to deliver, and a deliverer over it."""

from datetime import datetime
from typing import Any

from gateway.domain.alerting.cloudevent import Family, Subject, body, message_id
from gateway.domain.alerting.rows import Alert, AlertPhase
from gateway.domain.event import EventKind, Severity
from gateway.ports import Store
from gateway.ports.events import EventChanges

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SOURCE = "sightline://test"


def message(
    key: str,
    revision: int,
    at: datetime,
    phase: AlertPhase | None = None,
    recipient: str = "center",
) -> Alert:
    """A message as the desk plans it."""
    phase = phase or (AlertPhase.OPEN if revision == 1 else AlertPhase.UPDATE)
    subject = Subject(
        key=key,
        family=Family.INCIDENT,
        kind=EventKind.SMOKE,
        severity=Severity.CRITICAL,
        area="610802101",
        noticed_at=at,
        began_at=at,
        ended_at=at if phase is AlertPhase.CLOSE else None,
        title=f"烟雾报警：{key}",
        data={"links": [{"grid": "610802101g1", "reason": "contains"}]},
    )
    told: Any = {"rule": "smoke", "reason": "test"}
    event = body(
        subject,
        recipient=recipient,
        revision=revision,
        phase=phase,
        now=at,
        source=SOURCE,
        told=told,
    )
    return Alert(
        id=message_id(recipient, key, revision),
        key=key,
        revision=revision,
        phase=phase,
        recipient=recipient,
        created_at=at,
        body=event,
        next_at=at,
    )


async def put(store: Store, *alerts: Alert) -> None:
    """Write them to the outbox."""
    await store.events.commit(EventChanges(alerts=alerts))


async def states(store: Store) -> dict[str, str]:
    """The state of every message, by `key/revision`."""
    rows = await store.events.alerts(limit=100_000)
    return {f"{row.key}/{row.revision}": str(row.state) for row in rows}

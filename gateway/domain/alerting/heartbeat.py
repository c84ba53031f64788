"""The sign of life to a center: while it comes, silence means that there is nothing to tell."""

from datetime import datetime
from hashlib import blake2b

from gateway.domain.alerting.cloudevent import iso
from gateway.domain.alerting.rows import Alert, AlertPhase

TYPE = "cn.sightline.heartbeat.v1"
KEY = "heartbeat"


def heartbeat(
    recipient: str,
    source: str,
    now: datetime,
    *,
    number: int,
    every_s: float,
    pending: int,
    oldest_s: float,
    last_delivered_at: datetime | None,
) -> Alert:
    """A message that is in no outbox; schema: `config/schemas/heartbeat.v1.schema.json`.

    Args:
        recipient: by name.
        source: names the gateway.
        now: when it is sent.
        number: counts from the start of the process.
        every_s: when the next one may be expected.
        pending: alerts that wait for this recipient.
        oldest_s: age of the oldest of them.
        last_delivered_at: when the last alert was taken, since the start.
    """
    at = iso(now)
    digest = blake2b(f"{recipient}\n{source}\n{at}\n{number}".encode(), digest_size=16)
    message_id = f"hb_{digest.hexdigest()}"
    body = {
        "specversion": "1.0",
        "id": message_id,
        "source": source,
        "type": TYPE,
        "subject": KEY,
        "time": at,
        "datacontenttype": "application/json",
        "data": {
            "number": number,
            "every_s": every_s,
            "pending": pending,
            "oldest_pending_s": round(oldest_s, 1),
            "last_delivered_at": iso(last_delivered_at),
        },
    }
    return Alert(message_id, KEY, number, AlertPhase.UPDATE, recipient, now, body)

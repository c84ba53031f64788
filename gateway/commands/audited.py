"""The line in the audit log that a command leaves: what was done, and which user of this machine did it."""

import os
import pwd
from datetime import UTC, datetime

from gateway.ports import AuditEntry, Role, Store


def os_user() -> str:
    """The name of the user this process runs as, whatever the environment says."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # no such entry in a container
        return f"uid {os.geteuid()}"


def actor() -> str:
    """Who a command acts for."""
    return f"cli:{os_user()}"


async def audit_line(
    store: Store, action: str, target: str, *, result: str = "done", detail: str = ""
) -> None:
    """Add a line about a command."""
    await store.append_audit(
        AuditEntry(datetime.now(UTC), actor(), Role.ADMIN, action, target, result, detail)
    )

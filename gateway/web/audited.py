"""The audit trail of calls: no change without a line, no line that says more than happened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.ports import AuditEntry, Token
from gateway.web.auth import CONTEXT, IDENTITY

ACCEPTED = "accepted"
FAILED = "failed"


async def append(
    request: web.Request, token: Token, action: str, target: str, result: str, detail: str = ""
) -> None:
    """Write one line of the audit log."""
    context = request.app[CONTEXT]
    entry = AuditEntry(
        at=context.clock.utc(context.clock.now()),
        actor=f"{token.name} ({token.id})",
        role=token.role,
        action=action,
        target=target,
        result=result,
        detail=detail,
        address=request.remote or "",
    )
    await context.store.append_audit(entry)


@asynccontextmanager
async def audited(
    request: web.Request, action: str, target: str, detail: str = ""
) -> AsyncIterator[None]:
    """Write the line first, then let the change happen.

    `accepted` says that the call was allowed and begun; when it fails, a second line says so. A
    store that does not take the line refuses the change (`StoreUnavailable`).
    """
    token = request[IDENTITY].token
    await append(request, token, action, target, ACCEPTED, detail)
    try:
        yield
    except Exception as error:
        await append(request, token, action, target, FAILED, f"{type(error).__name__}: {error}")
        raise

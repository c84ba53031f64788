"""Posts of the center that are signed as Standard Webhooks say, instead of carrying a token.

Genuine = HMAC over id, time and body fits one of the live secrets, and the time is at most 5 minutes off. An
id that was seen counts again only with the same path and body: that is a repeat, and repeats change nothing.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from aiohttp import web
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError, WebhookVerificationError

from gateway.domain.observation import Instant
from gateway.errors import SettingsError
from gateway.ports import Secret
from gateway.web import problems
from gateway.web.problems import Problem

SIGNATURE = "webhook-signature"
MESSAGE_ID = "webhook-id"
KEPT_S = 900.0
"""Longer than a signature is valid: 5 minutes to both sides."""
KEPT_MOST = 20_000
ID_MOST = 200


class SignedPosts:
    """Verifies signed posts.

    Args:
        secrets: the live ones.

    Raises:
        SettingsError: one is no `whsec_` secret.
    """

    def __init__(self, secrets: Sequence[Secret]) -> None:
        try:
            self._verifiers = [Webhook(secret.reveal()) for secret in secrets]
        except (ValueError, EmptyWebhookSecretError):
            raise SettingsError(["center: a signing secret is no whsec_ secret"]) from None
        self._seen: OrderedDict[str, tuple[bytes, Instant]] = OrderedDict()

    async def verify(self, request: web.Request, now: Instant) -> None:
        """Return when a request is genuine and no replay.

        Raises:
            Problem: bad-signature, or conflict: its id was used for something else.
        """
        body = await request.read()
        message_id = request.headers.get(MESSAGE_ID, "")
        if len(message_id) > ID_MOST or not self._is_genuine(request, body):
            raise Problem(
                problems.BAD_SIGNATURE,
                "webhook-id, webhook-timestamp (within 5 minutes) and webhook-signature must fit "
                "the body and one of the secrets",
            )
        self._forget(now)
        content = hashlib.sha256(request.path.encode() + b"\n" + body).digest()
        known = self._seen.get(message_id)
        if known is None:
            self._seen[message_id] = (content, Instant(now + KEPT_S))
        elif known[0] != content:
            raise Problem(problems.CONFLICT, "this webhook-id came with something else before")

    def _is_genuine(self, request: web.Request, body: bytes) -> bool:
        headers = {name.lower(): value for name, value in request.headers.items()}
        for verifier in self._verifiers:
            try:
                verifier.verify(body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError):
                continue
            return True
        return False

    def _forget(self, now: Instant) -> None:
        while self._seen:
            _, ends = next(iter(self._seen.values()))
            if ends > now and len(self._seen) < KEPT_MOST:
                return
            self._seen.popitem(last=False)

"""Alerts to a center by HTTP: CloudEvents 1.0 in structured JSON, signed as Standard Webhooks say.

One POST an attempt, to the configured address and nowhere else: redirects are not followed, proxies of the
environment are not asked, cookies are not kept. What the center does wrong is data (`Delivery`).
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from gateway.domain.alerting.retry import Delivery
from gateway.domain.alerting.rows import Alert
from gateway.errors import SettingsError
from gateway.ports import Secret
from gateway.ports.events import SinkContext

CONTENT_TYPE: Final = "application/cloudevents+json"
REPLY_MOST: Final = 64 * 1024
SECRETS_MOST: Final = 2
_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = range(24, 65)
"""What Standard Webhooks ask of a secret."""
_JSON: Final = frozenset({"application/json", "application/cloudevents+json"})
_RETRIED: Final = frozenset({408, 425, 429})
"""4xx that mean "later"."""

_TROUBLE: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (TimeoutError, "no answer in time"),
    (aiohttp.ClientConnectorCertificateError, "its certificate is not trusted"),
    (aiohttp.ClientConnectorSSLError, "no TLS came about"),
    (aiohttp.ClientConnectorDNSError, "its name is not known"),
    (aiohttp.ClientConnectorError, "cannot be connected to"),
    (aiohttp.ServerDisconnectedError, "hung up without an answer"),
    (aiohttp.ClientPayloadError, "the answer ended early"),
    (aiohttp.ClientResponseError, "the answer is not proper HTTP"),
    (aiohttp.ClientError, "the connection broke"),
    (OSError, "the connection broke"),
)
"""First match wins; texts of foreign errors are not passed on: they may quote what was sent."""


def signer(secret: Secret) -> Webhook:
    """What signs with one secret.

    Raises:
        SettingsError: it is no `whsec_` secret of 24 to 64 bytes. Says nothing of its content.
    """
    wrong = SettingsError(["center: a signing secret must be whsec_ and 24 to 64 bytes in base64"])
    text = secret.reveal()
    if not text.startswith(_PREFIX):
        raise wrong
    try:
        webhook = Webhook(text)
    except (ValueError, EmptyWebhookSecretError):
        raise wrong from None
    if len(webhook._whsecret) not in _KEY_BYTES:  # noqa: SLF001 - it offers no other way to ask
        raise wrong
    return webhook


def sign(signers: tuple[Webhook, ...], message_id: str, at: datetime, body: str) -> dict[str, str]:
    """The three headers of Standard Webhooks; one signature a live secret."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(one.sign(message_id, at, body) for one in signers),
    }


def asked_pause(value: str | None, now: datetime) -> float | None:
    """`Retry-After` in seconds from now: a number, or an HTTP date; None = not given, or nonsense."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:  # noqa: PLR2004 - decades
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def acknowledged_id(content_type: str, body: bytes) -> str | None:
    """The message id that a JSON acknowledgement names; None = it names none."""
    if content_type not in _JSON:
        return None
    try:
        told = json.loads(body)
    except ValueError:
        return None
    named = told.get("id") if isinstance(told, dict) else None
    return named if isinstance(named, str) else None


class CenterWebhook:
    """Delivers alerts to one center.

    Args:
        context: where to, signed with what, and how long it may take.

    Raises:
        SettingsError: a secret is none, or there are too many.
    """

    def __init__(self, context: SinkContext) -> None:
        if not 0 < len(context.secrets) <= SECRETS_MOST:
            raise SettingsError(
                ["center.secret_file: one secret, or two while one replaces the other"]
            )
        self._context = context
        self._signers = tuple(signer(secret) for secret in context.secrets)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"CenterWebhook({self._context.url!r})"

    async def send(self, alert: Alert) -> Delivery:
        """One attempt within the limit; never raises for what the center does."""
        clock = self._context.clock
        text = json.dumps(alert.body, ensure_ascii=False, separators=(",", ":"), default=_plain)
        now = clock.utc(clock.now())
        headers = {"Content-Type": CONTENT_TYPE, **sign(self._signers, alert.id, now, text)}
        try:
            async with asyncio.timeout(self._context.timeout_s):
                return await self._post(alert.id, text.encode(), headers)
        except (aiohttp.ClientError, OSError) as error:
            return Delivery(delivered=False, reason=_reason(error))

    async def _post(self, message_id: str, body: bytes, headers: Mapping[str, str]) -> Delivery:
        session = self._opened()
        async with session.post(
            self._context.url, data=body, headers=headers, allow_redirects=False
        ) as response:
            told, whole = await _read(response)
            status = response.status
            if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
                clock = self._context.clock
                now = clock.utc(clock.now())
                return refused(status, asked_pause(response.headers.get("Retry-After"), now))
            if not whole:
                response.close()
                return Delivery(delivered=True, reason=f"{status}, with more than 64 kB to say")
            named = acknowledged_id(response.content_type, told)
            if named is not None and named != message_id:
                return Delivery(delivered=False, reason=f"wrong acknowledgement: {named[:64]!r}")
            return Delivery(delivered=True, reason=str(status))

    def _opened(self) -> aiohttp.ClientSession:
        """The session; made within the loop that uses it."""
        if self._session is None:
            tls: ssl.SSLContext | bool = True
            if self._context.authorities is not None:
                tls = ssl.create_default_context(cafile=str(self._context.authorities))
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._context.parallel + 1,  # and a heartbeat
                    ssl=tls,
                    ttl_dns_cache=300,
                    keepalive_timeout=30.0,
                ),
                timeout=aiohttp.ClientTimeout(
                    total=self._context.timeout_s, sock_connect=self._context.timeout_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "sightline", "Accept-Encoding": "identity"},
                trust_env=False,
                auto_decompress=False,
                max_field_size=8_190,
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def refused(status: int, after_s: float | None) -> Delivery:
    """What an answer other than 2xx means."""
    client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    retry = status in _RETRIED or not client_error
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        name += " (redirects are not followed)"
    return Delivery(delivered=False, retry=retry, after_s=after_s, reason=name)


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """At most 64 kB of the reply, and whether that was all."""
    told = bytearray()
    async for chunk in response.content.iter_chunked(8_192):
        told += chunk
        if len(told) > REPLY_MOST:
            return bytes(told[:REPLY_MOST]), False
    return bytes(told), True


def _reason(error: BaseException) -> str:
    return next((text for kind, text in _TROUBLE if isinstance(error, kind)), type(error).__name__)


def _plain(value: Any) -> Any:  # noqa: ANN401 - json's hook
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)

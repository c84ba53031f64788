"""Reads the whole ledger through the public HTTP API, page by page."""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from adapters.virtual.blind_truth import SpotRow, read_spots
from adapters.virtual.demo_alerts import Told
from adapters.virtual.rows import LedgerRows, read_rows_of
from gateway.domain.ledger import Fault, GatewayGap, Incident, Outage
from gateway.errors import Unavailable

PAGE: Final = 500
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)
_MOST_PAGES: Final = 1000


async def load_rows(base_url: str, token: str) -> LedgerRows:
    """All outages, faults, incidents (merged ones too) and gateway gaps.

    Raises:
        Unavailable: the service does not answer, or not with a page of rows.
    """
    headers = {"Authorization": f"Bearer {token}"}
    base = URL(base_url)
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
            outages = await _all(session, base / "api/v1/outages")
            faults = await _all(session, base / "api/v1/faults")
            merged = (base / "api/v1/incidents").with_query(include_merged="true")
            incidents = await _all(session, merged)
            gaps = await _all(session, base / "api/v1/gateway-gaps")
        return LedgerRows(
            read_rows_of(Outage, outages),
            read_rows_of(Fault, faults),
            read_rows_of(Incident, incidents),
            read_rows_of(GatewayGap, gaps),
        )
    except (TimeoutError, aiohttp.ClientError, KeyError, ValueError) as error:
        msg = f"the ledger of {base_url} cannot be read: {type(error).__name__}: {error}"
        raise Unavailable(msg) from error


async def load_spots(base_url: str, token: str) -> list[SpotRow]:
    """All blind spots, with the places they blind.

    Raises:
        Unavailable: the service does not answer, or not with a page of rows.
    """
    headers = {"Authorization": f"Bearer {token}"}
    first = URL(base_url) / "api/v1/coverage/blind-spots"
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
            return read_spots(await _all(session, first))
    except (TimeoutError, aiohttp.ClientError, KeyError, ValueError) as error:
        msg = f"the blind spots of {base_url} cannot be read: {type(error).__name__}: {error}"
        raise Unavailable(msg) from error


async def load_told(base_url: str, token: str) -> Told:
    """All messages to the center as the gateway has them, and what the center said back.

    Raises:
        Unavailable: the service does not answer, or not with a page of rows.
    """
    headers = {"Authorization": f"Bearer {token}"}
    base = URL(base_url)
    messages: list[Mapping[str, Any]] = []
    steps: dict[str, tuple[str, ...]] = {}
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
            more, after = True, 0
            while more and len(messages) < _MOST_PAGES * PAGE:
                page_url = (base / "api/v1/alerts").with_query(
                    recipient="center", after=after, limit=PAGE
                )
                async with session.get(page_url) as response:
                    response.raise_for_status()
                    page = await response.json()
                messages += page["items"]
                more, after = page["more"], page["after"]
            for key in sorted({str(message["key"]) for message in messages}):
                async with session.get(base / "api/v1/alerts" / key / "receipts") as response:
                    response.raise_for_status()
                    said = (await response.json())["items"]
                steps[key] = tuple(str(receipt["step"]) for receipt in said)
        return Told(messages, steps)
    except (TimeoutError, aiohttp.ClientError, KeyError, ValueError) as error:
        msg = f"the alerts of {base_url} cannot be read: {type(error).__name__}: {error}"
        raise Unavailable(msg) from error


async def _all(session: aiohttp.ClientSession, first: URL) -> list[Mapping[str, Any]]:
    """Every item of a list, following `next` of the body or `Link: rel="next"`."""
    items: list[Mapping[str, Any]] = []
    url: URL | None = first.update_query(limit=PAGE)
    for _ in range(_MOST_PAGES):
        if url is None:
            return items
        async with session.get(url, allow_redirects=False) as response:
            response.raise_for_status()
            page = await response.json()
            items += page["items"]
            link = response.links.get("next")
            following = link["url"] if link else page.get("next")
            url = first.join(URL(str(following))) if following else None
    msg = f"{first}: more than {_MOST_PAGES} pages"
    raise ValueError(msg)

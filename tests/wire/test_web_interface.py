"""The interface document and the running service say the same."""

import asyncio
import dataclasses
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fakes.ledger_rows import RECORD
from fakes.takeover import TakeoverDesk
from fakes.web_service import WebService, channel, district, running
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.domain.ledger import Fault, GapReason, GatewayGap, Incident, Outage, RollUp, State
from gateway.domain.observation import FaultCause, OutageCause
from gateway.metrics import REGISTRY
from gateway.ports import AuditEntry, IncidentNote, Role
from gateway.resources import data_dir
from gateway.web.access import Access
from gateway.web.app import INTERFACE
from gateway.web.device_metrics import FAMILIES, INFO
from gateway.web.params import is_plain
from gateway.web.problems import KINDS, URN

DOCUMENT: dict[str, Any] = json.loads((data_dir("config") / "openapi.json").read_bytes())
SCHEMAS = DOCUMENT["components"]["schemas"]
GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_every_route_is_in_the_document_and_the_other_way_round() -> None:
    served = {(r.method.lower(), r.path): r.access for r in INTERFACE if r.documented}
    written = {
        (method, path): Access(operation["x-access"])
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
    }
    assert served == written


def test_open_routes_and_no_others_need_no_token_in_the_document() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            is_open = operation["x-access"] == Access.OPEN
            assert is_open == (operation.get("security") == []), path


@pytest.mark.parametrize(
    "row", [Outage, Fault, Incident, GatewayGap, RollUp, IncidentNote, AuditEntry]
)
def test_rows_have_exactly_the_names_of_the_ledger(row: type) -> None:
    names = {f.name for f in dataclasses.fields(row)}
    assert names <= set(SCHEMAS[row.__name__]["properties"])
    assert set(SCHEMAS[row.__name__]["required"]) == set(SCHEMAS[row.__name__]["properties"])


def test_every_problem_type_is_in_the_document_and_in_the_guide() -> None:
    guide = (GUIDE / "api.md").read_text(encoding="utf-8")
    types = {URN + kind.name for kind in KINDS}
    assert set(SCHEMAS["Problem"]["properties"]["type"]["enum"]) == types
    assert not [name for name in types if name.removeprefix(URN) not in guide]


def test_every_path_stands_in_the_guide() -> None:
    guide = (GUIDE / "api.md").read_text(encoding="utf-8")
    assert not [path for path in DOCUMENT["paths"] if path not in guide]


def test_every_metric_stands_in_the_guide() -> None:
    guide = (GUIDE / "metrics.md").read_text(encoding="utf-8")
    known = [metric.name for metric in REGISTRY.collect()]
    known += [name for name, _ in FAMILIES] + [INFO[0]]
    assert len(known) > 20
    assert not [name for name in known if f"`{name}" not in guide]


@pytest.mark.parametrize(
    "text",
    ["a", "镇东", "a b", " a", "", "\n", "a\nb", "a\x00", "\x7f", "ab\x9f", "\xa0a", "a\xa0"],
)
def test_the_document_and_the_code_agree_on_what_text_is(text: str) -> None:
    pattern = SCHEMAS["Text"]["pattern"]
    # JSON Schema patterns are ECMA-262: no match of `$` before a final line break.
    assert is_plain(text) == (re.search(pattern.replace("$", r"\Z"), text) is not None)


@pytest.fixture(scope="module")
def service() -> Iterator[WebService]:
    """A running web side in a thread of its own: schemathesis calls it from this one."""
    started = threading.Event()
    ended: list[asyncio.Event] = []
    found: list[WebService] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        ended.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        async with filled() as one:
            found.append(one)
            started.set()
            await ended[0].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(20)
    yield found[0]
    loops[0].call_soon_threadsafe(ended[0].set)
    thread.join(20)


@asynccontextmanager
async def filled() -> AsyncIterator[WebService]:
    """A district in which something is wrong."""
    async with running(
        district(120), device_metrics=True, check_rate=100_000, takeover=TakeoverDesk()
    ) as one:
        now = one.now()
        one.observe(1)
        one.observe(2, good=False)
        await one.store.save_import(RECORD, one.projection.inventory)
        await one.change(
            outages=(
                Outage("o1", channel(1), OutageCause.UPLINK, now, now, now, now, incident="i1"),
            ),
            faults=(Fault("f1", channel(2), FaultCause.CLOCK, now, now, now, now),),
            incidents=(Incident("i1", channel(1), OutageCause.UPLINK, now, now, now),),
            gaps=(GatewayGap("g1", GapReason.BLIND, now),),
        )
        await one.set_state(State.OFFLINE, 1)
        yield one


schema = schemathesis.openapi.from_dict(DOCUMENT)
# A stream does not end; its own tests read it.
calls = schema.exclude(path=["/api/v1/stream", "/api/v1/alerts/stream"])


@calls.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_service_does_what_the_document_says(case: Any, service: WebService) -> None:
    case.call_and_validate(
        base_url=service.url,
        headers=service.headers(Role.ADMIN),
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
            negative_data_rejection,
            ignored_auth,
        ],
    )

"""The takeover list accepted over HTTP and by `sightline takeover`, each with its audit line."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes.postgres import serving, state_dir
from fakes.takeover import TakeoverDesk
from fakes.web_service import WebService, channel, district, running

from adapters.postgres.store import PostgresStore
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import ChannelId
from gateway.domain.ledger import Changes, ChannelRecord, Outage, State
from gateway.domain.observation import OutageCause
from gateway.ports import Role

ACCEPT = "/api/v1/takeover/accept"


def dead(camera: ChannelId, at: datetime, accepted_at: datetime | None = None) -> Outage[datetime]:
    """It was never seen good."""
    row = Outage(f"o-{camera}", camera, OutageCause.TIMEOUT, None, at, at, at, takeover=True)
    return replace(row, accepted_at=accepted_at)


async def with_dead(service: WebService, *numbers: int) -> TakeoverDesk:
    """A desk, and some cameras that were never seen good."""
    assert isinstance(service.takeover, TakeoverDesk)
    now = service.now()
    await service.change(
        outages=tuple(dead(channel(n), now) for n in numbers),
        channels=tuple(ChannelRecord(channel(n), State.OFFLINE, now) for n in numbers),
    )
    return service.takeover


async def test_one_camera_is_accepted_by_an_operator_with_a_reason() -> None:
    async with running(district(9), takeover=TakeoverDesk()) as service:
        desk = await with_dead(service, 3)
        path = f"/api/v1/cameras/{channel(3)}/accept"
        body = {"reason": "移交维保单位"}
        assert (await service.call("POST", path, Role.VIEWER, json=body))[0] == 403
        assert (await service.call("POST", path, json={}))[0] == 400
        status, found, _ = await service.call("POST", path, Role.OPERATOR, json=body)
        assert (status, found["accepted"], found["cameras"]) == (200, 1, [channel(3)])
        assert desk.asked == [([channel(3)], "operator token", "移交维保单位")]
        other = f"/api/v1/cameras/{channel(4)}/accept"
        status, problem, _ = await service.call("POST", other, Role.OPERATOR, json=body)
        assert (status, problem["type"]) == (409, "urn:sightline:problem:refused")
        (line,) = (await service.get("/api/v1/audit", Role.AUDITOR))["items"]
        assert (line["action"], line["target"]) == ("takeover.accept", channel(3))
        assert line["detail"] == "1 cameras: 移交维保单位"


@pytest.mark.parametrize(
    ("area", "expected"),
    [("all", [3, 4, 5]), ("610802101", [4]), ("6108021", [3, 4, 5]), ("999", [])],
)
async def test_all_of_an_area_are_accepted_at_once(area: str, expected: list[int]) -> None:
    async with running(district(9), takeover=TakeoverDesk()) as service:
        desk = await with_dead(service, 3, 4, 5)
        body = {"area": area, "reason": "全区验收"}
        status, found, _ = await service.call("POST", ACCEPT, Role.OPERATOR, json=body)
        assert (status, found["cameras"]) == (200, [channel(n) for n in expected])
        assert [asked[0] for asked in desk.asked] == ([found["cameras"]] if expected else [])


async def test_cameras_are_accepted_by_name_all_or_none() -> None:
    async with running(district(9), takeover=TakeoverDesk()) as service:
        desk = await with_dead(service, 3, 4, 5)
        body = {"cameras": [channel(5), channel(3), channel(5)], "reason": "移交维保单位"}
        status, found, _ = await service.call("POST", ACCEPT, Role.OPERATOR, json=body)
        assert (status, found["cameras"]) == (200, [channel(5), channel(3)])
        (line,) = (await service.get("/api/v1/audit", Role.AUDITOR))["items"]
        assert (line["target"], line["detail"]) == ("2 cameras", "2 cameras: 移交维保单位")
        for other in (channel(6), "nobody"):
            body = {"cameras": [channel(3), other], "reason": "移交维保单位"}
            status, problem, _ = await service.call("POST", ACCEPT, Role.OPERATOR, json=body)
            assert (status, problem["type"]) == (409, "urn:sightline:problem:refused")
        assert [asked[0] for asked in desk.asked] == [[channel(5), channel(3)]]


@pytest.mark.parametrize(
    "body",
    [
        {"area": "east", "reason": "x"},
        {"area": "", "reason": "x"},
        {"area": "all"},
        {"area": "all", "reason": ""},
        {"reason": "x"},
        {"area": "all", "cameras": ["a"], "reason": "x"},
        {"cameras": [], "reason": "x"},
        {"cameras": [7], "reason": "x"},
        {"area": "all", "reason": "x", "until": "later"},
    ],
)
async def test_an_area_and_a_reason_are_needed(body: Any) -> None:
    async with running(district(3), takeover=TakeoverDesk()) as service:
        status, problem, _ = await service.call("POST", ACCEPT, json=body)
        assert (status, problem["type"]) == (400, "urn:sightline:problem:bad-body")


async def test_what_was_accepted_is_on_the_list_no_more() -> None:
    async with running(district(9), takeover=TakeoverDesk()) as service:
        now = service.now()
        await service.change(outages=(dead(channel(3), now, accepted_at=now),))
        assert (await service.get("/api/v1/cameras?takeover=true"))["items"] == []
        camera = await service.get(f"/api/v1/cameras/{channel(3)}")
        assert camera["outage"]["accepted_at"] is not None


async def test_the_command_lists_and_accepts_for_a_running_service() -> None:
    with state_dir() as state, serving(state) as (_, dsn, _):
        environ = os.environ | {"SIGHTLINE_STORE__STATE_DIR": str(state)}

        def sightline(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gateway", "takeover", *arguments],
                env=environ, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip

        store = PostgresStore(dsn)
        await store.open()
        await store.migrate()
        imported = ImportRecord("i1", datetime.now(UTC), "test", (), ())
        await store.save_import(imported, district(9))
        rows = tuple(dead(channel(n), datetime.now(UTC)) for n in (3, 4, 5))
        await store.commit(Changes(1, outages=rows))

        listed = json.loads(sightline("list", "--json").stdout)["items"]
        assert [one["camera"] for one in listed] == [channel(3), channel(4), channel(5)]
        assert channel(4) in sightline("list", "--area", "610802101").stdout
        done = sightline("accept", channel(3), "--reason", "移交维保", "--json")
        assert json.loads(done.stdout) == {"accepted": 1, "cameras": [channel(3)]}
        wrong = sightline("accept", channel(3), channel(4), "--reason", "再来")
        assert (wrong.returncode, channel(3) in wrong.stderr) == (1, True)
        assert sightline("accept", "--reason", "谁").returncode == 2
        assert sightline("accept", channel(4), "--area", "all", "--reason", "谁").returncode == 2
        rest = sightline("accept", "--area", "all", "--reason", "全区验收")
        assert (rest.returncode, rest.stdout.strip()) == (0, "Accepted: 2 cameras")
        accepted = await store.accepted()
        lines = await store.audit()
        await store.close()
    assert [row.channel for row in accepted] == [channel(3), channel(4), channel(5)]
    assert {row.reason for row in accepted} == {"移交维保", "全区验收"}
    assert [(line.action, line.target) for line in lines] == [
        ("takeover.accept", "all"),
        ("takeover.accept", channel(3)),
    ]

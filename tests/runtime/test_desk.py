"""The event desk on a real store in memory: what is recorded, told, counted, kept and gone on with."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import shapely
from fakes.clock import FakeClock, within
from fakes.pulling import until
from structlog.testing import capture_logs

from adapters.memory import MemoryStore
from gateway.domain.alerting.posture import PlannedPosture
from gateway.domain.alerting.rows import (
    Alert,
    Mute,
    Posture,
    PostureLevel,
    Receipt,
    ReceiptStep,
    WorkOrder,
    WorkOrderState,
)
from gateway.domain.alerting.rules import Rule
from gateway.domain.archive import ImportRecord
from gateway.domain.camera import (
    Camera,
    ChannelId,
    Device,
    DeviceId,
    Division,
    DivisionCode,
    GridCell,
    GridId,
    Node,
    NodeId,
    NodeKind,
    Window,
)
from gateway.domain.coverage.place import PlaceId
from gateway.domain.coverage.rows import BlindSpot
from gateway.domain.event import Event, EventKind, EventSource, Sensor, SensorId, Severity
from gateway.domain.ledger import Changes, Ending, Incident, Outage
from gateway.domain.linking import CellIndex
from gateway.domain.observation import OutageCause
from gateway.errors import Refused, StoreUnavailable
from gateway.inventory import Inventory
from gateway.ports.events import EventChanges, EventQuery
from gateway.rulebook import load
from gateway.runtime import set_elsewhere
from gateway.runtime.desk import Desk
from gateway.runtime.waiting import DeskLimits

TOWN, VILLAGE = DivisionCode("610802115"), DivisionCode("610802115201")
K = EventKind
BOOK = load()


def cell(grid: str, west: float) -> GridCell:
    ring = tuple(shapely.box(west, 38.40, west + 0.01, 38.41).exterior.coords)
    corners = tuple((x, y) for x, y in ring)
    return GridCell(GridId(grid), f"网格{grid[-1]}", VILLAGE, ((corners,),))


CELLS = [cell(f"{VILLAGE}00{n}", 109.50 + 0.01 * n) for n in range(3)]


def inventory(cameras: int = 5) -> Inventory:
    """An uplink with five cameras of one village; A1 stands in the middle cell."""
    nodes = [Node(NodeId("core"), NodeKind.CORE, "核心", None)]
    nodes.append(Node(NodeId("up"), NodeKind.UPLINK, "小纪汗上联", NodeId("core")))
    devices = [Device(DeviceId(f"d{n}"), "192.0.2.1", 80 + n, NodeId("up")) for n in range(cameras)]
    rows = [
        Camera(
            ChannelId(f"A{n}"),
            DeviceId(f"d{n}"),
            f"村口{n}",
            township=TOWN,
            village=VILLAGE,
            grid=CELLS[n % 3].id,
            longitude=109.515 + 0.003 * n,
            latitude=38.405,
        )
        for n in range(cameras)
    ]
    divisions = [Division(TOWN, "小纪汗镇", None), Division(VILLAGE, "小纪汗村", TOWN)]
    return Inventory.of(rows, devices, nodes, divisions, CELLS)


SENSORS = [
    Sensor(SensorId("smoke-1"), "市场烟感", K.SMOKE, "t/1", 109.515, 38.405, TOWN, VILLAGE),
    Sensor(SensorId("door-1"), "村口箱门", K.DOOR, "t/2", 109.5151, 38.405, TOWN, VILLAGE),
]


class Town:
    """A desk and its store, in scripted time."""

    def __init__(self, store: MemoryStore, clock: FakeClock, **more: Any) -> None:
        self.store, self.clock = store, clock
        self.desk = Desk(store, clock, BOOK, recipients=("center",), **more)
        self.desk.atlas.take_inventory(inventory())
        self.desk.atlas.cells = CellIndex(CELLS)
        self.sequence = 0

    @property
    def now(self) -> datetime:
        return self.clock.utc(self.clock.now())

    def event(self, name: str, kind: EventKind = K.SMOKE, **more: Any) -> Event:
        values: dict[str, Any] = {"sensor": SensorId("smoke-1"), **more}
        if "channel" in more:
            values["sensor"] = None
        return Event(name, EventSource.MQTT, kind, self.now, **values)

    async def bring(self, *events: Event) -> None:
        """Deliver and let the desk write, as its loop would."""
        work = asyncio.create_task(self.desk.deliver(events))
        while not work.done():
            await asyncio.sleep(0)
            await self.desk.flush()
        await work

    async def pass_s(self, seconds: float) -> None:
        self.clock.move(seconds)
        await self.judge()
        await self.desk.flush()

    async def judge(self, **rows: Any) -> tuple[Alert, ...]:
        """A batch of the judge, recorded as the recorder would."""
        self.sequence += 1
        changes = self.desk.outages(Changes(self.sequence, **rows))
        if changes:
            await self.store.commit(changes)
        return changes.alerts

    async def alerts(self, recipient: str = "center", key: str = "") -> list[Alert]:
        rows = await self.store.events.alerts(limit=1000, key=key)
        return [row for row in rows if row.recipient == recipient]

    async def spoken(self, recipient: str = "center") -> list[str]:
        return [f"{row.phase} {row.body['data']['kind']}" for row in await self.alerts(recipient)]

    def outage(self, n: int, incident: str | None, **more: Any) -> Outage[datetime]:
        cause = OutageCause.UPLINK if incident == "inc-up" else OutageCause.TIMEOUT
        at = self.now
        row = Outage(f"o{n}", ChannelId(f"A{n}"), cause, at - timedelta(seconds=30), at, at, at)
        return replace(row, incident=incident, reason=("tcp: timeout",), **more)

    def incident(
        self, row_id: str, root: str, children: int = 1, **more: Any
    ) -> Incident[datetime]:
        cause = OutageCause.UPLINK if root == "up" else OutageCause.TIMEOUT
        at = self.now
        row: Incident[datetime] = Incident(
            row_id, ChannelId(root), cause, at - timedelta(seconds=30), at, at
        )
        return replace(row, children=children, open_children=children, **more)


@pytest.fixture
async def town() -> Town:
    store = MemoryStore()
    await store.open()
    await store.events.save_sensors(SENSORS)
    found = Town(store, FakeClock())
    await found.desk.load()
    return found


async def test_smoke_is_one_alert_with_its_cell_roles_and_one_end(town: Town) -> None:
    await town.bring(town.event("a", active=True))
    await town.bring(town.event("b", active=True), town.event("a", active=True))
    await town.pass_s(20)
    await town.bring(town.event("c", active=False))
    await town.pass_s(11)

    first, last = await town.alerts()
    data = first.body["data"]
    assert (first.revision, first.phase, last.revision, last.phase) == (1, "open", 2, "close")
    assert data["links"][0]["grid"] == CELLS[1].id
    assert [link["reason"] for link in data["links"]] == ["contains", "near", "near"]
    assert data["links"][0]["posts"][0] == {
        "role": "grid_worker",
        "title": "网格员",
        "contact": f"grid_worker@{CELLS[1].id}",
    }
    assert (data["place"]["village_name"], data["source"]["name"]) == ("小纪汗村", "市场烟感")
    assert len(await town.alerts("feed")) == 2
    (incident,), _ = await town.store.events.incidents(EventQuery())
    assert (incident.signals, incident.ended_at) == (2, incident.last_at)
    rows, _ = await town.store.events.events(EventQuery())
    assert sorted(row.id for row in rows) == ["a", "b", "c"]


async def test_without_a_configured_recipient_only_the_feed_is_told() -> None:
    store = MemoryStore()
    await store.open()
    alone = Town(store, FakeClock())
    alone.desk.teller.recipients = frozenset()
    await alone.desk.load()

    await alone.bring(alone.event("a", channel=ChannelId("A1")))

    assert await alone.alerts() == []
    assert len(await alone.alerts("feed")) == 1


async def test_plain_signals_are_one_row_a_minute_with_their_count(town: Town) -> None:
    def motion(n: int) -> Event:
        return town.event(f"m{n}", K.MOTION, channel=ChannelId("A1"))

    await town.bring(*(motion(n) for n in range(500)), motion(7))
    await town.pass_s(6)

    rows, _ = await town.store.events.events(EventQuery())
    assert [(row.id, row.count) for row in rows] == [("m0", 500)]
    assert await town.alerts("feed") == []


async def test_a_storm_of_one_source_is_counted_and_stored_before_it_is_acknowledged(
    town: Town,
) -> None:
    await town.bring(*(town.event(f"s{n}", active=True) for n in range(100)))

    rows, _ = await town.store.events.events(EventQuery())
    (incident,), _ = await town.store.events.incidents(EventQuery())
    assert len(rows) == 20
    assert sum(row.count for row in rows) == 100
    await town.pass_s(6)
    (incident,), _ = await town.store.events.incidents(EventQuery())
    assert incident.signals == 100
    assert incident.last_event in {row.id for row in rows}


async def test_events_wait_while_the_store_is_away_and_nothing_is_lost(town: Town) -> None:
    await town.store.close()
    work = asyncio.create_task(town.desk.deliver([town.event("a", active=True)]))
    await asyncio.sleep(0)
    assert not await town.desk.flush()
    assert not work.done()
    again = asyncio.create_task(town.desk.deliver([town.event("a", active=True)]))
    await asyncio.sleep(0)
    assert not again.done()

    await town.store.open()
    assert await town.desk.flush()
    await asyncio.wait_for(work, 5)
    await asyncio.wait_for(again, 5)

    assert await town.spoken() == ["open smoke"]


async def test_a_source_is_told_when_its_events_could_not_be_stored_in_time() -> None:
    store = MemoryStore()
    await store.open()
    slow = Town(store, FakeClock(), limits=DeskLimits(rows_most=3, deliver_s=0.05))

    with pytest.raises(StoreUnavailable, match="not stored in time"):
        await slow.desk.deliver([slow.event("a")])
    with pytest.raises(StoreUnavailable):  # the rows that wait are bounded
        await slow.desk.deliver([slow.event(f"b{n}", sensor=SensorId(f"x{n}")) for n in range(900)])
    assert slow.desk.waiting < 1100


async def test_a_cabinet_opened_before_its_camera_fell_silent_is_one_incident(town: Town) -> None:
    await town.bring(town.event("d", K.DOOR, sensor=SensorId("door-1"), active=True))
    town.clock.move(60)
    alerts = await town.judge(
        outages=(town.outage(0, "inc-1"),), incidents=(town.incident("inc-1", "A0"),)
    )
    await town.desk.flush()

    assert alerts == ()
    assert await town.spoken() == ["open door"]
    (told,) = await town.alerts()
    assert told.body["data"]["severity"] == "major"
    assert told.body["data"]["reasons"] == ["followed by outage"]

    await town.bring(town.event("e", K.DOOR, sensor=SensorId("door-1"), active=False))
    await town.pass_s(400)
    assert await town.spoken() == ["open door"]
    end = replace(town.incident("inc-1", "A0"), ended_at=town.now, ending=Ending.RECOVERED)
    await town.judge(outages=(town.outage(0, "inc-1", ended_at=town.now),), incidents=(end,))
    await town.pass_s(200)
    assert await town.spoken() == ["open door", "close door"]


@pytest.mark.parametrize(
    ("node", "title"),
    [
        (NodeKind.ACCESS, "接入交换机中断：小纪汗上联，2 路离线"),
        (NodeKind.AGGREGATION, "汇聚交换机中断：小纪汗上联，2 路离线"),
    ],
)
async def test_a_lost_node_is_called_what_it_is(town: Town, node: NodeKind, title: str) -> None:
    nodes = town.desk.atlas.inventory.nodes
    named = {**nodes, NodeId("up"): replace(nodes[NodeId("up")], kind=node)}
    await town.desk.take_archive(replace(town.desk.atlas.inventory, nodes=named))
    down = tuple(town.outage(n, "inc-up") for n in range(2))
    await town.judge(outages=down, incidents=(town.incident("inc-up", "up", 2),))
    await town.pass_s(5)
    opened, *_ = await town.alerts()
    assert (opened.body["data"]["kind"], opened.body["data"]["title"]) == ("uplink_lost", title)


async def test_a_tampered_cabinet_is_no_covered_picture(town: Town) -> None:
    await town.bring(town.event("s", K.TAMPER, sensor=SensorId("door-1"), active=True))
    await town.bring(town.event("c", K.TAMPER, channel=ChannelId("A3"), active=True))
    await town.pass_s(5)
    titles = {alert.body["data"]["title"].partition("：")[0] for alert in await town.alerts()}
    assert titles == {"机箱门被打开", "视频遮挡或破坏"}


async def test_an_uplink_is_one_alert_that_counts_its_cameras_and_tells_lost_places_soon(
    town: Town,
) -> None:
    down = tuple(town.outage(n, "inc-up") for n in range(5))
    incident = town.incident("inc-up", "up", 5)
    first = await town.judge(outages=down, incidents=(incident,))
    await town.pass_s(5)
    spot = BlindSpot(
        "b1", ChannelId("A1"), "o1", "inc-up", (), "uplink", None, town.now, town.now,
        places=(PlaceId("p1"),), weight=1.0,
    )  # fmt: skip
    own = town.desk.blind_spots([spot])
    await town.pass_s(1)

    assert first == own == ()
    opened, places = await town.alerts()
    data = opened.body["data"]
    assert (data["kind"], data["severity"], data["counts"]["channels"]) == (
        "uplink_lost",
        "major",
        5,
    )
    assert data["title"] == "上联链路中断：小纪汗上联，5 路离线"
    assert data["channels"] == ["A0", "A1", "A2", "A3", "A4"]
    assert data["place"]["township_name"] == "小纪汗镇"
    assert [link["grid"] for link in data["links"]] == [one.id for one in CELLS]
    assert (places.revision, places.body["data"]["lost_places"][0]["place"]) == (2, "p1")

    back = tuple(town.outage(n, "inc-up", ended_at=town.now) for n in range(5))
    over = replace(incident, ended_at=town.now, open_children=0, ending=Ending.RECOVERED)
    await town.judge(outages=back, incidents=(over,))
    assert await town.spoken() == ["open uplink_lost", "update uplink_lost", "close uplink_lost"]


async def test_signal_loss_below_a_lost_uplink_is_told_with_the_uplink(town: Town) -> None:
    await town.judge(
        outages=(town.outage(1, "inc-up"),), incidents=(town.incident("inc-up", "up", 5),)
    )
    await town.bring(town.event("v", K.SIGNAL_LOSS, channel=ChannelId("A1"), active=True))
    await town.pass_s(6)

    assert await town.spoken("feed") == ["open uplink_lost"]
    (row,), _ = await town.store.events.incidents(EventQuery(kind=K.SIGNAL_LOSS))
    assert row.caused_by == "inc-up"


def window(target: str, from_at: datetime, minutes: float = 60) -> Window:
    return Window("w", ChannelId(target), from_at, from_at + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("A1", {"channel": ChannelId("A1")}),
        ("d1", {"channel": ChannelId("A1")}),
        ("up", {"channel": ChannelId("A1")}),
        ("core", {"sensor": None, "device": DeviceId("d1")}),
        ("A1", {"sensor": None, "device": DeviceId("d1")}),
        (CELLS[1].id, {"sensor": SensorId("door-1")}),
    ],
)
async def test_what_is_signalled_in_maintenance_is_told_only_if_it_stands_at_the_end(
    town: Town, target: str, source: dict[str, Any]
) -> None:
    sensors = [replace(one, grid=CELLS[1].id) for one in SENSORS]
    town.desk.atlas.take_sensors(sensors)
    archive = replace(inventory(), windows=(window(target, town.now),))
    town.desk.atlas.take_inventory(archive)
    kind = K.DOOR if source.get("sensor") else K.TAMPER

    await town.bring(town.event("a", kind, active=True, **source))
    await town.pass_s(600)
    assert await town.spoken() == await town.spoken("feed") == []
    rows, _ = await town.store.events.incidents(EventQuery())
    assert [row.kind for row in rows] == [kind]

    await town.pass_s(3_000)
    assert await town.spoken() == [f"open {kind}"]
    await town.bring(town.event("b", kind, active=False, **source))
    await town.pass_s(600)
    assert await town.spoken() == [f"open {kind}", f"close {kind}"]


async def test_what_came_and_went_in_maintenance_is_told_to_nobody_but_smoke_is(
    town: Town,
) -> None:
    sensors = [replace(one, grid=CELLS[1].id) for one in SENSORS]
    town.desk.atlas.take_sensors(sensors)
    windows = (window("A1", town.now), replace(window(CELLS[1].id, town.now), id="w2"))
    town.desk.atlas.take_inventory(replace(inventory(), windows=windows))

    await town.bring(town.event("t", K.TAMPER, channel=ChannelId("A1"), active=True))
    await town.bring(town.event("u", K.TAMPER, channel=ChannelId("A1"), active=False))
    await town.pass_s(600)
    assert await town.spoken("feed") == []
    # Neither another camera nor another cell is meant, and smoke is told wherever it is.
    await town.bring(town.event("v", K.TAMPER, channel=ChannelId("A3"), active=True))
    await town.bring(town.event("s", active=True))
    assert await town.spoken() == ["open tamper", "open smoke"]
    assert (await town.alerts())[0].body["data"]["source"]["id"] == "A3"


async def test_planned_and_merged_incidents_are_never_told(town: Town) -> None:
    await town.judge(
        outages=(town.outage(1, "inc-1"), town.outage(2, "inc-2")),
        incidents=(
            town.incident("inc-1", "A1", planned=True),
            town.incident("inc-2", "A2", merged_into="inc-9", ended_at=town.now),
        ),
    )
    await town.pass_s(60)

    assert await town.alerts("feed") == []


async def test_a_single_camera_reaches_the_feed_and_in_heightened_posture_the_center(
    town: Town,
) -> None:
    await town.judge(outages=(town.outage(1, "inc-1"),), incidents=(town.incident("inc-1", "A1"),))
    assert (await town.spoken("feed"), await town.spoken()) == (["open outage"], [])

    posture = Posture("p", PostureLevel.HEIGHTENED, TOWN, town.now, None, "值班长", "演练")
    await town.desk.set_posture(posture)
    await town.pass_s(1)
    assert await town.spoken() == ["open outage"]


async def test_a_posture_that_another_process_wrote_is_noticed_and_its_end_too(
    town: Town,
) -> None:
    await town.judge(outages=(town.outage(1, "inc-1"),), incidents=(town.incident("inc-1", "A1"),))
    until = town.now + timedelta(seconds=60)
    row = Posture("p", PostureLevel.HEIGHTENED, VILLAGE, town.now, until, "cli:root", "演练")
    await town.store.events.save_posture(row)
    await town.desk.postures_held.look()
    await town.pass_s(1)
    assert await town.spoken() == ["open outage"]
    assert town.desk.postures_held.devices(town.desk.atlas.inventory) == {
        DeviceId(f"d{n}") for n in range(5)
    }

    await town.store.events.save_posture(replace(row, until_at=town.now))
    await town.desk.postures_held.look()
    assert town.desk.postures() == []
    assert town.desk.postures_held.devices(town.desk.atlas.inventory) == frozenset()


async def test_a_posture_of_one_cell_reaches_the_cameras_of_that_cell_only(town: Town) -> None:
    row = Posture("p", PostureLevel.HEIGHTENED, CELLS[1].id, town.now, None, "值班长", "演练")
    await town.desk.set_posture(row)
    await town.judge(
        outages=(town.outage(1, "inc-1"), town.outage(2, "inc-2")),
        incidents=(town.incident("inc-1", "A1"), town.incident("inc-2", "A2")),
    )

    assert [alert.key for alert in await town.alerts()] == ["inc-1"]
    cameras = town.desk.atlas.inventory
    assert town.desk.postures_held.devices(cameras) == {DeviceId("d1"), DeviceId("d4")}
    crossed = [town.event(f"x{n}", K.LINE_CROSSING, channel=ChannelId(f"A{n}")) for n in (1, 2)]
    await town.bring(*crossed)
    rows, _ = await town.store.events.incidents(EventQuery())
    assert [row.channel for row in rows] == ["A1"]


async def test_a_window_that_is_to_come_begins_and_ends_by_itself(town: Town) -> None:
    begins = town.now + timedelta(seconds=30)
    ends = begins + timedelta(seconds=30)
    await town.desk.set_posture(
        Posture("p", PostureLevel.HEIGHTENED, "", begins, ends, "值班长", "演练")
    )
    changes: list[int] = []
    town.desk.postures_held.changed.append(
        lambda: changes.append(len(town.desk.postures_held.holding))
    )
    await town.judge(outages=(town.outage(1, "inc-1"),), incidents=(town.incident("inc-1", "A1"),))
    assert await town.spoken() == []

    await town.pass_s(31)
    await town.pass_s(1)
    assert await town.spoken() == ["open outage"]
    await town.pass_s(31)
    assert changes == [1, 0]


async def test_a_planned_window_of_the_rules_holds_and_is_audited_once_over_restarts() -> None:
    store = MemoryStore()
    await store.open()
    clock = FakeClock()
    local = (clock.utc(clock.now()) + timedelta(hours=8)).strftime("%H:%M")
    window = PlannedPosture("春节", "春节安保", areas=(VILLAGE,), hours=(f"{local}-{local[:3]}59",))
    book = replace(BOOK, postures=(window,))
    first, second = (Desk(store, clock, book, recipients=("center",)) for _ in range(2))
    for desk in (first, second):
        await desk.load()
        clock.move(60)
        await desk.postures_held.look()
        (row,) = desk.postures_held.holding
        assert (row.actor, row.area) == ("schedule", VILLAGE)
        with pytest.raises(Refused, match="planned in the rules"):
            await desk.end_posture(row.id)
    (line,) = await store.audit()
    assert (line.actor, line.action, line.target) == ("schedule", "posture.set", VILLAGE)
    assert [one.area for one in second.postures()] == [VILLAGE] * 8


async def test_a_planned_window_of_an_area_that_is_nowhere_is_told_at_the_start() -> None:
    store = MemoryStore()
    await store.open()
    book = replace(BOOK, postures=(PlannedPosture("春节", "春节安保", areas=(VILLAGE, "g-none")),))
    desk = Desk(store, FakeClock(), book)
    with capture_logs() as logs:
        await desk.take_archive(inventory())
    (said,) = [one for one in logs if one["log_level"] == "warning"]
    assert said["problem"].startswith("postures.0 (春节): areas: 'g-none' is neither")


async def test_a_posture_is_ended_by_its_id_and_only_once(town: Town) -> None:
    row = Posture("p", PostureLevel.HEIGHTENED, "", town.now, None, "值班长", "演练")
    await town.desk.set_posture(row)
    town.clock.move(5)
    ended = await town.desk.end_posture("p")

    assert ended.until_at == town.now
    assert town.desk.postures_held.holding == ()
    await town.desk.postures_held.look()
    with pytest.raises(Refused, match="no posture"):
        await town.desk.end_posture("p")


async def test_a_store_that_is_away_ends_no_posture(town: Town) -> None:
    await town.desk.set_posture(
        Posture("p", PostureLevel.HEIGHTENED, "", town.now, None, "值班长", "演练")
    )
    await town.store.close()
    await town.desk.postures_held.look()
    assert len(town.desk.postures_held.holding) == 1


async def test_a_mute_is_kept_and_ends(town: Town) -> None:
    until = town.now + timedelta(seconds=60)
    await town.desk.set_mute(Mute("m", "张工", "检修", town.now, until, kind="smoke"))
    await town.bring(town.event("a", active=True))
    assert await town.alerts("feed") == []

    await town.pass_s(61)
    await town.pass_s(10)
    assert await town.spoken() == ["open smoke"]


async def test_a_mute_that_another_process_wrote_is_noticed_and_its_end_too(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_elsewhere, "LOOK_S", 0.01)
    watching = asyncio.create_task(town.desk.watch())
    row = Mute("m", "张工", "检修", town.now, town.now + timedelta(hours=9), kind="smoke")
    await town.store.events.save_mute(row)
    await until(town.desk.mutes)
    await town.bring(town.event("a", active=True))
    assert await town.alerts("feed") == []

    await town.store.events.save_mute(replace(row, until_at=town.now))
    await until(lambda: not town.desk.mutes())
    await town.pass_s(1)  # at once: an end that was not foreseen is not waited for
    assert await town.spoken() == ["open smoke"]
    watching.cancel()


async def test_a_store_that_is_away_ends_no_mute(town: Town) -> None:
    until = town.now + timedelta(hours=9)
    await town.desk.set_mute(Mute("m", "张工", "检修", town.now, until, kind="smoke"))
    await town.store.close()
    await town.desk.mutes_held.look()
    assert len(town.desk.mutes()) == 1


async def test_a_blind_spot_without_an_outage_has_an_alert_in_coverages_transaction(
    town: Town,
) -> None:
    spot = BlindSpot(
        "b1", ChannelId("A1"), "f1", None, (), "stream", None, town.now, town.now,
        places=(PlaceId("p1"),), weight=1.0, grids=(CELLS[1].id,), area_m2=10.0,
    )  # fmt: skip

    opened = town.desk.blind_spots([spot])
    again = town.desk.blind_spots([spot])
    closed = town.desk.blind_spots([replace(spot, ended_at=town.now)])

    assert [alert.recipient for alert in opened] == ["feed", "center"]
    assert again == ()
    assert [alert.revision for alert in closed] == [2, 2]
    assert town.desk.blind_spots([replace(spot, id="b2", places=())]) == ()


def blind_spot(town: Town) -> BlindSpot:
    """A key place that a faulty picture took."""
    return BlindSpot(
        "b1", ChannelId("A1"), "f1", None, (), "stream", None, town.now, town.now,
        places=(PlaceId("p1"),), weight=1.0, grids=(CELLS[1].id,), area_m2=10.0,
    )  # fmt: skip


def ruled(town: Town, rule: Rule) -> None:
    """One rule before all others."""
    book = replace(BOOK, rules=(rule, *BOOK.rules))
    town.desk.book = town.desk.teller.book = town.desk.teller.digests.book = book


async def test_a_blind_key_place_that_opens_under_a_mute_is_told_when_that_ends(
    town: Town,
) -> None:
    until = town.now + timedelta(seconds=60)
    await town.desk.set_mute(Mute("m", "张工", "检修", town.now, until, kind="blind_spot"))
    assert town.desk.blind_spots([blind_spot(town)]) == ()

    await town.pass_s(30)
    assert town.desk.blind_spots([]) == ()
    await town.pass_s(40)
    assert [row.recipient for row in town.desk.blind_spots([])] == ["feed", "center"]
    assert town.desk.blind_spots([]) == ()
    town.desk.blind_spots([replace(blind_spot(town), ended_at=town.now)])
    assert town.desk.teller.due == {}


async def test_a_blind_key_place_is_told_further_when_the_posture_is_heightened_later(
    town: Town,
) -> None:
    heightened = (PostureLevel.HEIGHTENED,)
    quiet = Rule("quiet", kinds=(K.BLIND_SPOT,), postures=(PostureLevel.ROUTINE,))
    ruled(town, quiet)
    assert [row.recipient for row in town.desk.blind_spots([blind_spot(town)])] == ["feed"]
    posture = Posture("p", heightened[0], "", town.now, None, "值班长", "演练")
    await town.desk.set_posture(posture)
    await town.pass_s(1)

    assert [row.recipient for row in town.desk.blind_spots([])] == ["center"]


@pytest.mark.parametrize(("delay_s", "digest_s"), [(20.0, 0.0), (0.0, 600.0)])
async def test_a_rule_for_all_kinds_that_delays_or_gathers_loses_no_blind_key_place(
    town: Town, delay_s: float, digest_s: float
) -> None:
    ruled(town, Rule("all", recipients=("center",), delay_s=delay_s, digest_s=digest_s))
    told = [*town.desk.blind_spots([blind_spot(town)])]
    await town.pass_s(21)
    told += town.desk.blind_spots([])

    assert [(row.recipient, row.phase) for row in told] == [("feed", "open"), ("center", "open")]


async def test_what_was_told_by_itself_is_not_gathered_when_its_rule_becomes_a_digest(
    town: Town,
) -> None:
    ruled(town, Rule("single", kinds=(K.OUTAGE,), recipients=("center",)))
    incident = town.incident("inc-1", "A1")
    await town.judge(outages=(town.outage(1, "inc-1"),), incidents=(incident,))
    gathering(town, K.OUTAGE)
    await town.pass_s(100)
    await town.judge(incidents=(replace(incident, children=9),))
    await town.pass_s(700)

    assert await town.spoken() == ["open outage", "update outage"]


async def test_what_was_gathered_and_is_over_is_forgotten(town: Town) -> None:
    gathering(town, K.OUTAGE)
    for n in range(20):
        row = town.incident(f"inc-{n}", "A1")
        await town.judge(incidents=(row,))
        assert len(town.desk.teller.digests) == 1
        await town.judge(incidents=(replace(row, ended_at=town.now),))
    await town.pass_s(601)

    assert len(town.desk.teller.digests) == 0
    assert len((await town.alerts())[0].body["data"]["items"]) == 20


async def test_after_a_restart_an_incident_goes_on_with_the_next_revision(town: Town) -> None:
    await town.bring(town.event("a", active=True))
    await town.judge(outages=(town.outage(1, "inc-1"),), incidents=(town.incident("inc-1", "A1"),))
    await town.desk.flush(last=True)

    later = Town(town.store, town.clock)
    await later.desk.load([town.outage(1, "inc-1")])
    await later.judge(incidents=(later.incident("inc-1", "A1"),))
    await later.bring(later.event("a", active=True), later.event("b", active=False))
    await later.pass_s(15)
    over = replace(later.incident("inc-1", "A1"), ended_at=later.now)
    await later.judge(incidents=(over,))

    assert await later.spoken() == ["open smoke", "close smoke"]
    assert await later.spoken("feed") == [
        "open smoke",
        "open outage",
        "close smoke",
        "close outage",
    ]
    assert [row.revision for row in await later.alerts()] == [1, 2]


async def restarted(town: Town) -> Town:
    """The process died: another one goes on with what the store has."""
    later = Town(town.store, town.clock)
    later.desk.book = later.desk.teller.book = town.desk.book
    later.desk.teller.digests.book = town.desk.book
    await later.desk.load()
    return later


async def test_what_stood_before_a_restart_is_told_again_by_the_device_and_is_nothing_new(
    town: Town,
) -> None:
    # An NVR's own contact has no channel; a second smoke sensor nearby belongs to the first one's
    nvr = {"sensor": None, "device": DeviceId("d1"), "active": True, "token": "1"}
    await town.bring(town.event("i1", K.DIGITAL_INPUT, **nvr))
    await town.bring(town.event("s1", active=True))
    await town.pass_s(1)
    before = await town.spoken()

    later = await restarted(town)
    await later.bring(later.event("i2", K.DIGITAL_INPUT, **nvr))
    await later.bring(later.event("s2", active=True))
    await later.pass_s(1)
    assert await later.spoken() == before == ["open digital_input", "open smoke"]

    await later.pass_s(1800)  # what stands does not end by silence
    assert set(later.desk.correlator.cases) == {one.key for one in await later.alerts()}
    await later.bring(later.event("s3", active=False))
    await later.bring(later.event("i3", K.DIGITAL_INPUT, **{**nvr, "active": False}))
    await later.pass_s(11)
    ends = [word for word in await later.spoken() if word.startswith("close")]
    assert sorted(ends) == ["close digital_input", "close smoke"]


async def test_what_had_ended_just_before_a_restart_closes_after_it(town: Town) -> None:
    await town.bring(town.event("a", active=True))
    await town.pass_s(5)
    await town.bring(town.event("b", active=False))

    later = await restarted(town)
    await later.pass_s(11)

    assert await later.spoken() == ["open smoke", "close smoke"]


async def test_what_stands_for_ever_ages_out_after_a_restart_too(town: Town) -> None:
    await town.bring(town.event("a", active=True))

    later = await restarted(town)
    await later.pass_s(86_300)
    assert [word for word in await later.spoken() if "close" in word] == []
    await later.pass_s(101)

    last = (await later.alerts())[-1]
    assert (last.phase, last.body["data"]["reasons"]) == ("close", ["stuck: no end was told"])


async def test_a_lost_picture_stands_as_long_as_it_takes_over_a_restart_too(town: Town) -> None:
    await town.bring(town.event("v", K.SIGNAL_LOSS, channel=ChannelId("A1"), active=True))
    began_at = town.now

    later = await restarted(town)
    await later.pass_s(40 * 86_400)
    (row,), _ = await town.store.events.incidents(EventQuery(kind=K.SIGNAL_LOSS))
    assert row.ended_at is None

    back_at = later.now
    await later.bring(later.event("w", K.SIGNAL_LOSS, channel=ChannelId("A1"), active=False))
    await later.pass_s(61)
    (row,), _ = await town.store.events.incidents(EventQuery(kind=K.SIGNAL_LOSS))
    assert (row.began_at, row.ended_at, row.note) == (began_at, back_at, "")


async def test_a_lost_picture_closes_when_its_camera_is_taken_out_of_use(town: Town) -> None:
    for n in (0, 1):
        lost = {"channel": ChannelId(f"A{n}"), "active": True}
        await town.bring(town.event(f"v{n}", K.SIGNAL_LOSS, **lost))
        town.clock.move(1)
    await town.pass_s(5)
    rows, _ = await town.store.events.incidents(EventQuery(kind=K.SIGNAL_LOSS))
    assert [row.ended_at for row in rows] == [None, None]

    archive = inventory()
    cameras = [replace(c, in_use=c.id != "A1") for c in archive.cameras.values()]
    await town.desk.take_archive(
        Inventory.of(cameras, archive.devices.values(), archive.nodes.values())
    )
    await town.pass_s(5)
    rows, _ = await town.store.events.incidents(EventQuery(kind=K.SIGNAL_LOSS))
    assert {row.channel: row.note for row in rows if row.ended_at} == {"A1": "decommissioned"}


async def test_what_was_held_down_at_a_crash_is_told_when_its_time_has_come(town: Town) -> None:
    await town.bring(town.event("d", K.DOOR, sensor=SensorId("door-1"), active=True))
    await town.pass_s(60)
    assert await town.spoken() == []

    later = await restarted(town)
    await later.pass_s(59)
    assert await later.spoken() == []
    await later.pass_s(2)
    assert await later.spoken() == ["open door"]


async def test_a_cause_that_raised_an_incident_raises_it_once_over_a_restart(town: Town) -> None:
    await town.bring(town.event("t1", K.TAMPER, channel=ChannelId("A1"), active=True))
    await town.bring(town.event("v1", K.SIGNAL_LOSS, channel=ChannelId("A1"), active=True))
    later = await restarted(town)
    await later.bring(later.event("v2", K.SIGNAL_LOSS, channel=ChannelId("A1"), active=True))
    await later.bring(later.event("t2", K.TAMPER, channel=ChannelId("A1"), active=False))
    await later.pass_s(300)

    (case,) = later.desk.correlator.cases.values()  # the signal is lost still
    assert (case.row.severity, case.row.note) == (Severity.CRITICAL, "followed by signal_loss")
    await later.bring(later.event("v3", K.SIGNAL_LOSS, channel=ChannelId("A1"), active=False))
    await later.pass_s(181)
    assert [word for word in await later.spoken() if "update" not in word] == [
        "open tamper",
        "close tamper",
    ]


async def test_a_step_of_severity_that_waits_at_a_crash_is_told_after_it_in_its_turn(
    town: Town,
) -> None:
    await town.bring(town.event("t1", K.TAMPER, channel=ChannelId("A1"), active=True))
    await town.pass_s(20)
    await town.bring(town.event("v1", K.SIGNAL_LOSS, channel=ChannelId("A1"), active=True))
    assert await town.spoken() == ["open tamper"]  # 60 s between messages

    later = await restarted(town)
    await later.pass_s(35)
    assert await later.spoken() == ["open tamper"]
    await later.pass_s(6)
    first, step = await later.alerts()
    assert (first.body["data"]["severity"], step.body["data"]["severity"]) == ("major", "critical")
    again = await restarted(later)
    await again.pass_s(100)
    assert len(await again.alerts()) == 2  # told is told


async def test_a_growth_of_an_outage_that_waits_at_a_crash_is_told_after_it(town: Town) -> None:
    down = [town.outage(n, "inc-up") for n in range(3)]
    row = town.incident("inc-up", "up", children=3)
    await town.judge(outages=tuple(down), incidents=(row,))
    await town.pass_s(61)  # held down so long
    row = replace(row, children=5, open_children=5)
    down = [town.outage(n, "inc-up") for n in range(5)]
    await town.judge(outages=tuple(down), incidents=(row,))

    later = Town(town.store, town.clock)
    await later.desk.load(down)
    await later.judge(incidents=(row,))
    await later.pass_s(61)
    counts = [one.body["data"]["counts"]["channels"] for one in await later.alerts()]
    assert counts == [3, 5]


async def test_escalation_counts_from_the_first_message_over_a_restart(town: Town) -> None:
    await town.bring(town.event("a", active=True))
    await town.pass_s(200)
    later = await restarted(town)
    await later.pass_s(101)

    assert "not received by" in (await later.alerts())[-1].body["data"]["escalation"]


async def test_an_escalation_that_falls_due_while_the_gateway_is_down_is_told_after_it(
    town: Town,
) -> None:
    await town.bring(town.event("t", K.TAMPER, channel=ChannelId("A1"), active=True))
    await town.pass_s(800)
    town.clock.move(150)  # escalated after 900 s

    later = await restarted(town)
    await later.pass_s(1)
    again = await restarted(later)
    await again.pass_s(100)

    first, late = await again.alerts()
    assert first.body["data"]["escalation"] is None
    assert "not received by" in late.body["data"]["escalation"]


def gathering(town: Town, *kinds: EventKind) -> None:
    """A rule that gathers doors, or other kinds, for ten minutes."""
    rule = Rule("doors", kinds=kinds or (K.DOOR,), recipients=("center",), digest_s=600)
    book = replace(BOOK, rules=(rule, *BOOK.rules))
    town.desk.book = town.desk.teller.book = town.desk.teller.digests.book = book


async def test_a_digest_survives_a_crash_and_is_told_once(town: Town) -> None:
    gathering(town)
    await town.bring(town.event("d", K.DOOR, sensor=SensorId("door-1"), active=True))
    await town.bring(town.event("e", K.DOOR, channel=ChannelId("A4"), active=True))
    await town.pass_s(300)
    later = await restarted(town)
    await later.bring(later.event("f", K.DOOR, channel=ChannelId("A2"), active=True))
    await later.bring(later.event("g", K.DOOR, channel=ChannelId("A2"), active=False))
    await later.pass_s(299)
    assert await later.alerts() == []
    await later.pass_s(2)

    (told,) = await later.alerts()
    assert [item["title"] for item in told.body["data"]["items"]] == [
        "门磁报警：村口箱门",
        "门磁报警：村口4",
        "门磁报警：村口2",
    ]
    gathered = await later.alerts("digest:doors")
    assert {row.superseded_by for row in gathered} == {(await later.alerts("feed"))[-1].id}
    assert await later.store.events.gathered([]) == []

    again = await restarted(later)
    await again.bring(again.event("h", K.DOOR, sensor=SensorId("door-1"), active=True))
    await again.pass_s(1300)
    assert len(await again.alerts()) == 1


async def test_a_crash_between_a_digest_and_its_rows_tells_it_no_second_time(town: Town) -> None:
    gathering(town)
    await town.bring(town.event("d", K.DOOR, sensor=SensorId("door-1"), active=True))
    town.clock.move(601)
    for alert in town.desk.teller.digests.tell(town.now):
        await town.store.events.commit(EventChanges(alerts=(alert,)))

    later = await restarted(town)
    await later.pass_s(1)
    await later.pass_s(700)

    assert len(await later.alerts()) == 1
    assert await later.store.events.gathered([]) == []


async def test_a_gathered_row_that_is_stored_after_its_digest_is_settled_already(
    town: Town,
) -> None:
    gathering(town, K.OUTAGE)
    opened = Changes(
        1, outages=(town.outage(1, "inc-1"),), incidents=(town.incident("inc-1", "A1"),)
    )
    late = town.desk.outages(opened)  # the recorder is behind
    town.clock.move(601)
    await town.desk.flush()
    await town.store.commit(late)

    assert [row.recipient for row in late.alerts] == ["digest:doors"]
    assert await town.store.events.gathered([]) == []
    later = await restarted(town)
    await later.pass_s(1)
    await later.pass_s(700)
    assert len(await later.alerts()) == 1


async def test_what_the_center_does_not_receive_is_escalated_and_reminded(town: Town) -> None:
    await town.bring(town.event("a", active=True))
    for _ in range(3):
        await town.pass_s(101)
    _, late = await town.alerts()
    assert "not received by" in late.body["data"]["escalation"]

    receipt = Receipt("r1", late.key, ReceiptStep.RECEIVED, town.now, "综治中心")
    work = asyncio.create_task(town.desk.take_receipt(receipt))
    await asyncio.sleep(0.01)
    await town.desk.flush()
    assert (await asyncio.wait_for(work, 5)).taken
    assert (await town.desk.take_receipt(receipt)).repeated
    (stored,) = await town.store.events.receipts(late.key)
    assert stored == receipt


async def test_a_work_order_closes_when_its_channel_is_seen_good_again(town: Town) -> None:
    order = WorkOrder("w", "inc-1", (ChannelId("A1"),), WorkOrderState.OPEN, town.now, "值班员")
    town.desk.orders.add(order)
    assert town.desk.orders.move(order, WorkOrderState.DONE, town.now).taken
    await town.pass_s(2)
    (row,) = await town.store.events.work_orders()
    assert row.state is WorkOrderState.DONE

    town.desk.orders.seen_good_at = lambda _: town.now
    await town.pass_s(2)
    (row,) = await town.store.events.work_orders()
    assert row.state is WorkOrderState.CLOSED
    assert town.desk.orders.open == {}


async def test_the_loop_of_the_desk_writes_by_itself(town: Town) -> None:
    loop = asyncio.create_task(town.desk.run())
    try:
        await within(town.desk.deliver([town.event("a", active=True)]))
    finally:
        loop.cancel()

    assert await town.spoken() == ["open smoke"]


async def test_a_batch_that_was_written_once_more_changes_nothing(town: Town) -> None:
    await town.bring(town.event("a", active=True))
    alerts = await town.store.events.alerts()

    await town.store.events.commit(EventChanges(alerts=tuple(alerts)))

    assert await town.store.events.alerts() == alerts
    assert alerts[0].body["data"]["severity"] == Severity.CRITICAL


async def test_sources_wait_until_the_cells_of_a_new_archive_are_loaded(town: Town) -> None:
    record = ImportRecord("i1", town.now, "值班员", (), ())
    await town.store.save_import(record, inventory())
    town.desk.atlas.cells = CellIndex(())
    await town.desk.take_archive(inventory())
    waits = asyncio.create_task(town.desk.deliver([town.event("a", active=True)]))
    await asyncio.sleep(0.01)
    assert not waits.done()

    loop = asyncio.create_task(town.desk.run())
    try:
        await asyncio.wait_for(waits, 5)
    finally:
        loop.cancel()

    (told,) = await town.alerts()
    assert told.body["data"]["links"][0]["grid"] == CELLS[1].id


class Turns:
    """Counts the incidents that are planned while nothing else can run."""

    def __init__(self, town: Town) -> None:
        self.longest = self.all = self._now = 0
        self._plan = town.desk.planner.plan
        town.desk.planner.plan = self.plan  # type: ignore[method-assign,assignment]

    def plan(self, *one: Any) -> Any:
        self.all, self._now = self.all + 1, self._now + 1
        self.longest = max(self.longest, self._now)
        return self._plan(*one)

    async def run(self) -> None:
        """Something else that runs."""
        while True:
            self._now = 0
            await asyncio.sleep(0)

    def over(self) -> None:
        """A call is over, and others had their turn."""
        self._now = 0


async def test_a_posture_over_thousands_of_open_outages_is_planned_in_portions(town: Town) -> None:
    number = 3000
    await town.judge(incidents=[town.incident(f"inc-{n}", "A1") for n in range(number)])
    turns = Turns(town)

    await town.desk.set_posture(
        Posture("p", PostureLevel.HEIGHTENED, "", town.now, None, "值班长", "演练")
    )
    batches = 0
    while len(await town.desk.store.events.due_alerts("center", town.now, 9999)) < number:
        town.clock.move(0.25)
        await town.judge()  # empty batches: nothing else has to happen
        turns.over()
        batches += 1
        assert batches <= number / 50

    assert (turns.longest, turns.all) == (50, number)


async def test_thousands_of_muted_outages_hold_up_neither_the_loop_nor_what_is_told(
    town: Town,
) -> None:
    until = town.now + timedelta(hours=1)
    await town.desk.set_mute(Mute("m", "张工", "检修", town.now, until, kind="outage"))
    await town.judge(incidents=[town.incident(f"inc-{n}", "A1") for n in range(2000)])
    await town.judge(incidents=(town.incident("inc-up", "up", 5),))
    town.clock.move(11)  # all that is muted is looked at again, and the uplink was held down
    turns = Turns(town)

    (feed, center) = await town.judge()

    assert (feed.key, center.key, turns.longest) == ("inc-up", "inc-up", 50)
    for _ in range(39):
        turns.over()
        await town.judge()
    assert (turns.longest, turns.all) == (50, 2000)


async def test_thousands_of_event_incidents_are_planned_in_portions_and_stored_in_one_batch(
    town: Town,
) -> None:
    turns = Turns(town)
    others = asyncio.create_task(turns.run())
    events = [
        town.event(f"s{n}", K.DIGITAL_INPUT, sensor=None, device=DeviceId(f"x{n}"), active=True)
        for n in range(400)
    ]
    await town.bring(*events)
    posture = Posture("p", PostureLevel.HEIGHTENED, "", town.now, None, "值班长", "演练")
    await town.desk.set_posture(posture)
    await town.pass_s(1)
    others.cancel()

    assert turns.longest <= 50
    assert turns.all >= 800
    assert len((await town.store.events.incidents(EventQuery(limit=999)))[0]) == 400


async def test_a_signal_is_never_stored_without_its_incident(town: Town) -> None:
    first = [
        town.event(f"s{n}", K.DIGITAL_INPUT, sensor=None, device=DeviceId(f"x{n}"), active=True)
        for n in range(120)
    ]
    late = town.event("late", active=True)
    works = [asyncio.create_task(town.desk.deliver(first))]
    await asyncio.sleep(0)
    flush = asyncio.create_task(town.desk.flush())
    await asyncio.sleep(0)  # the first portion is planned
    works.append(asyncio.create_task(town.desk.deliver([late])))
    await flush

    stored = {row.id for row in (await town.store.events.events(EventQuery(limit=999)))[0]}
    incidents, _ = await town.store.events.incidents(EventQuery(limit=999))
    assert "late" in stored
    assert {row.first_event for row in incidents} == stored
    await asyncio.gather(*works)

"""Rows with every field set, and builders for the plain ones. Times are minutes after `T0`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.domain.archive import ImportRecord, Repair, Severity
from gateway.domain.camera import (
    Camera,
    ChannelId,
    CheckBy,
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
from gateway.domain.ledger import (
    ChannelRecord,
    ClockStep,
    Ending,
    Fault,
    GapReason,
    GatewayGap,
    Incident,
    Outage,
    RollUp,
    State,
)
from gateway.domain.observation import AuthScheme, DeviceMemory, FaultCause, OutageCause
from gateway.inventory import Inventory

T0 = datetime(2026, 3, 1, 4, 0, 0, 123456, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """A time, minutes after `T0`."""
    return T0 + timedelta(minutes=minutes)


def channel(number: int) -> ChannelId:
    """A 20-digit channel id."""
    return ChannelId(f"61080200001320{number:06d}")


def outage(
    row_id: str, number: int, failed: float, ended: float | None = None, **more: Any
) -> Outage[datetime]:
    """An outage of one channel, from `failed` to `ended`, in minutes."""
    values: dict[str, Any] = {
        "cause": OutageCause.TIMEOUT,
        "last_seen_at": at(failed - 0.5),
        "failed_at": at(failed),
        "confirmed_at": at(failed + 0.2),
        "last_failed_at": at(failed + 0.2 if ended is None else ended - 0.5),
        "ended_at": None if ended is None else at(ended),
        "ending": None if ended is None else Ending.RECOVERED,
    }
    return Outage(id=row_id, channel=channel(number), **{**values, **more})


def fault(
    row_id: str, number: int, cause: FaultCause, failed: float, ended: float | None = None
) -> Fault[datetime]:
    """A fault of one channel, from `failed` to `ended`, in minutes."""
    return Fault(
        id=row_id,
        channel=channel(number),
        cause=cause,
        last_seen_at=at(failed - 0.5),
        failed_at=at(failed),
        confirmed_at=at(failed),
        last_failed_at=at(failed),
        ended_at=None if ended is None else at(ended),
    )


def incident(
    row_id: str, root: str, began: float, ended: float | None = None, **more: Any
) -> Incident[datetime]:
    """An incident from `began` to `ended`, in minutes."""
    values: dict[str, Any] = {
        "cause": OutageCause.UPLINK,
        "began_after_at": at(began - 0.5),
        "began_at": at(began),
        "confirmed_at": at(began + 0.5),
        "ended_at": None if ended is None else at(ended),
    }
    return Incident(id=row_id, root=NodeId(root), **{**values, **more})


def rollup(number: int, day: str, good: float = 3600.0) -> RollUp:
    """A day of a channel: `good` seconds in each hour, the rest bad."""
    none = (0.0,) * 24
    return RollUp(
        channel=channel(number),
        day=day,
        good_s=(good,) * 24,
        bad_s=(3600.0 - good,) * 24,
        bad_upstream_s=none,
        maintenance_s=none,
        unobserved_s=none,
        degraded_s=none,
        probes=(120,) * 24,
        rtt_p50_ms=(12.5,) * 24,
        rtt_p95_ms=(80.25,) * 24,
    )


FULL_OUTAGE: Outage[datetime] = Outage(
    id="o-full",
    channel=channel(1),
    cause=OutageCause.REFUSED,
    last_seen_at=at(0),
    failed_at=at(1),
    confirmed_at=at(2),
    last_failed_at=at(3),
    ended_at=at(4),
    bad_s=180.5,
    unobserved_s=0.25,
    reason=("tcp: 连接被拒绝", "http: —", ""),
    incident="i-full",
    flapping=True,
    planned=True,
    takeover=True,
    ending=Ending.SPLIT,
    clock_suspect=True,
    accepted_at=at(3),
)
BARE_OUTAGE: Outage[datetime] = Outage(
    id="o-bare",
    channel=channel(2),
    cause=OutageCause.UNREACHABLE,
    last_seen_at=None,
    failed_at=at(5),
    confirmed_at=at(5),
    last_failed_at=at(5),
)
FULL_FAULT: Fault[datetime] = Fault(
    id="f-full",
    channel=channel(1),
    cause=FaultCause.AUTH,
    last_seen_at=at(0),
    failed_at=at(1),
    confirmed_at=at(2),
    last_failed_at=at(3),
    ended_at=at(4),
    unobserved_s=60.0,
    reason=("auth: 密码错误",),
    planned=True,
    ending=Ending.RECOVERED,
    clock_suspect=True,
)
BARE_FAULT: Fault[datetime] = Fault(
    id="f-bare",
    channel=channel(2),
    cause=FaultCause.CLOCK,
    last_seen_at=None,
    failed_at=at(5),
    confirmed_at=at(5),
    last_failed_at=at(5),
)
FULL_INCIDENT: Incident[datetime] = Incident(
    id="i-full",
    root=NodeId("镇东汇聚交换机"),
    cause=OutageCause.POWER,
    began_after_at=at(0),
    began_at=at(1),
    confirmed_at=at(2),
    ended_at=at(4),
    children=143,
    open_children=0,
    planned=True,
    merged_into="i-other",
    split_from="i-before",
    ending=Ending.MERGED,
)
BARE_INCIDENT: Incident[datetime] = Incident(
    id="i-bare",
    root=channel(2),
    cause=OutageCause.TIMEOUT,
    began_after_at=None,
    began_at=at(5),
    confirmed_at=at(5),
)
GAPS: tuple[GatewayGap[datetime], ...] = (
    GatewayGap("g-1", GapReason.NOT_RUNNING, at(0), at(1)),
    GatewayGap("g-2", GapReason.BLIND, at(6)),
)
CHANNELS: tuple[ChannelRecord[datetime], ...] = (
    ChannelRecord(channel(1), State.DEGRADED, at(4), at(0), at(4)),
    ChannelRecord(channel(2), State.UNKNOWN, at(5)),
)
CLOCK_STEPS: tuple[ClockStep[datetime], ...] = (ClockStep("c-1", at(3), -3600.5),)
MEMORIES: tuple[tuple[DeviceId, DeviceMemory], ...] = (
    (
        DeviceId("10.1.0.1:80"),
        DeviceMemory(AuthScheme.DIGEST, (1772337600.25, 1772337601.0), True, "tag"),
    ),
    (DeviceId("10.1.0.2:80"), DeviceMemory()),
)
FULL_ROLLUP = RollUp(
    channel=channel(1),
    day="2026-03-01",
    good_s=tuple(float(n) for n in range(24)),
    bad_s=tuple(n + 0.5 for n in range(24)),
    bad_upstream_s=tuple(n + 0.25 for n in range(24)),
    maintenance_s=tuple(n + 0.125 for n in range(24)),
    unobserved_s=tuple(n * 2.0 for n in range(24)),
    degraded_s=tuple(n * 3.0 for n in range(24)),
    probes=tuple(range(24)),
    rtt_p50_ms=tuple(n * 4.0 for n in range(24)),
    rtt_p95_ms=tuple(n * 5.0 for n in range(24)),
)

RECORD = ImportRecord(
    id="import-1",
    at=at(-60),
    actor="管理员",
    files=("台账.xlsx", "网格.geojson"),
    counts=(("added", 2), ("changed", 0), ("quarantined", 1)),
    repairs=(
        Repair("台账.xlsx", 7, "经度", "38.28", "swapped_lon_lat", "swapped", Severity.DEFECT),
        Repair("台账.xlsx", 0, "", "", "many_missing", "the file as a whole", Severity.NOTE),
    ),
    unknown_columns=("备注", "建设批次"),
)


def archive(count: int = 3) -> Inventory:
    """A small archive that uses every field; the order of its rows is not that of their keys."""
    devices = [
        Device(
            DeviceId("10.1.0.9:8443"),
            "10.1.0.9",
            8443,
            NodeId("access-1"),
            tls=True,
            check_by=CheckBy.RTSP,
            path="/onvif/other",
            credential_set="镇东",
            serial="SN-1",
            mac="00:11:22:33:44:55",
            manufacturer="厂家",
            model="M1",
        ),
        *(
            Device(DeviceId(f"10.1.0.{n}:80"), f"10.1.0.{n}", 80, NodeId("access-1"))
            for n in range(count, 1, -1)
        ),
    ]
    cameras = [
        Camera(
            channel(1),
            devices[0].id,
            "镇东路口一号",
            source_token="src_1",
            township=DivisionCode("610802101"),
            village=DivisionCode("610802101201"),
            grid=GridId("g1"),
            manufacturer="厂家",
            model="M1",
            longitude=109.734512345678,
            latitude=38.285,
            in_use=True,
            maintainer="运维甲",
            carrier="运营商乙",
            contact="0912-0000000",
            archive={"SecurityLevelCode": "A", "备注": "靠近“学校”\n第二行"},
        ),
        *(
            Camera(
                channel(n),
                DeviceId(f"10.1.0.{n}:80"),
                f"路口{n}",
                township=DivisionCode("610802102"),
            )
            for n in range(count, 1, -1)
        ),
    ]
    return Inventory.of(
        cameras,
        devices,
        nodes=(
            Node(NodeId("core"), NodeKind.CORE, "核心", None),
            Node(NodeId("access-1"), NodeKind.ACCESS, "接入一", NodeId("core"), "甲", "乙", "丙"),
        ),
        divisions=(
            Division(DivisionCode("610802"), "榆阳区", None),
            Division(DivisionCode("610802101"), "镇东街道", DivisionCode("610802")),
        ),
        grids=(
            GridCell(GridId("g2"), "网格二", DivisionCode("610802101201")),
            GridCell(
                GridId("g1"),
                "网格一",
                DivisionCode("610802101201"),
                ((((109.7, 38.2), (109.8, 38.2), (109.8, 38.3), (109.7, 38.2)),),),
                "镇东警务区",
                {"grid_worker": "GW-1", "volunteers": "TC-610802101"},
            ),
        ),
        windows=(
            Window("w2", NodeId("access-1"), at(0), at(600), "检修"),
            Window("w1", channel(1), at(0), None, "太阳能", 68_400, 18_000),
        ),
    )

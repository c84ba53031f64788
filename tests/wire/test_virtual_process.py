"""The district as a process of its own, and the truth log that it leaves."""

import asyncio
import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from wire.virtual_fleet import Fleet, ask, call

from adapters.virtual.command import virtual
from adapters.virtual.compare import compare
from adapters.virtual.intervals import Rules, WatchedSpan, intervals
from adapters.virtual.model import Trouble, TruthRow
from adapters.virtual.rows import LedgerRows
from adapters.virtual.runner import Runner
from adapters.virtual.scenario import ScriptedTrouble
from adapters.virtual.truth import TruthLog, read_rows, read_truth, when
from gateway.domain.camera import DeviceId, Node, NodeId, NodeKind

COMMAND = "from adapters.virtual.command import virtual; virtual()"
TIME = call("GetSystemDateAndTime")


class District:
    """A `sightline virtual --control` under way."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def told(self, event: str) -> Mapping[str, Any]:
        """The next event of this name; others before it are passed over."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                found: Mapping[str, Any] = json.loads(line)
                if found["event"] == event:
                    return found
        raise AssertionError(event)

    def do(self, **order: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order).encode() + b"\n")


async def spawn(*options: str) -> District:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, "--control", *options,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**20,
    )  # fmt: skip
    return District(process)


async def test_the_process_serves_plays_tells_and_ends_with_its_stdin(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = ("--cameras", "120", "--scale", "0.02", "--truth", str(truth))
    district = await spawn(*options, "--archive", str(tmp_path / "archive"))
    try:
        ready = await district.told("ready")
        assert (ready["channels"], ready["flapping"]["flap_losses"]) == (120, 2)
        assert ready["archive"]["cameras"] == str(tmp_path / "archive" / "cameras.csv")
        host, _, port = ready["canaries"][0].partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        district.do(do="start", length_s=3.6)
        started = await district.told("started")
        assert started["kinds"]["uplink"] == 1
        first = await district.told("trouble")
        assert first["kind"] in started["kinds"]
        assert first["zh"]
        await district.told("finished")
        district.do(do="dance")
        assert "dance" in (await district.told("error"))["message"]
        district.do(do="stats")
        assert (await district.told("stats"))["connections_open"] >= 0
        assert district.process.stdin
        district.process.stdin.close()
        assert await asyncio.wait_for(district.process.wait(), 10) == 0
    finally:
        if district.process.returncode is None:
            district.process.kill()
            await district.process.wait()
    rows = read_truth(truth)
    assert {row.kind for row in rows} == set(started["kinds"])
    blind = next(row for row in rows if row.kind == "blind")
    assert blind.ended
    lasted = (when(blind.ended) - when(blind.began)).total_seconds()
    assert lasted == pytest.approx(0.6, abs=0.2)


async def test_troubles_can_be_applied_and_healed_by_hand(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = ("--cameras", "60", "--truth", str(truth), "--archive", str(tmp_path))
    district = await spawn(*options, "--killable", "0.5")
    try:
        ready = await district.told("ready")
        mortal = str(ready["ports"]["killable_port"])
        with (tmp_path / "cameras.csv").open(encoding="utf-8-sig") as file:
            ends = [(row["ip_address"], row["port"]) for row in csv.DictReader(file)]
        found = {f"{host}:{port}": port == mortal for host, port in ends}
        killable = [device for device, dies in found.items() if dies]
        steady = next(device for device, dies in found.items() if not dies)
        assert len(killable) > 20, "--killable asks for more of them"
        district.do(do="apply", id="x", trouble="refuse", devices=[killable[0], steady])
        assert "steady" in (await district.told("error"))["message"]
        host, _, port = killable[0].partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        district.do(do="apply", id="x", trouble="refuse", devices=killable[:2])
        applied = await district.told("applied")
        assert (applied["id"], applied["channels"]) == ("x", 2)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))
        district.do(do="heal", id="x")
        healed = await district.told("healed")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        for wrong, reason in (
            ({"id": "x", "trouble": "refuse", "devices": ["nobody"]}, "nobody"),
            ({"id": "x", "trouble": "sleepy", "devices": killable[:1]}, "sleepy"),
            ({"id": "x", "trouble": "refuse", "devices": ["somebody"] * 9_000}, "somebody"),
            ({"id": "x", "trouble": "refuse"}, "none was named"),
            ({"trouble": "refuse", "devices": killable[:1]}, "an id"),
        ):
            district.do(do="apply", **wrong)
            assert reason in (await district.told("error"))["message"]
        district.do(do="heal", id="x")
        assert "has ended" in (await district.told("error"))["message"]
        district.do(do="apply", id="dark", trouble="blind")
        await district.told("applied")
        district.do(do="heal")
        await district.told("healed")
        district.do(do="stop")
        assert await asyncio.wait_for(district.process.wait(), 10) == 0
    finally:
        if district.process.returncode is None:
            district.process.kill()
            await district.process.wait()
    outage, blind = read_truth(truth)
    assert (outage.kind, outage.cause, outage.began) == ("outage", "refuse", applied["at"])
    assert outage.ended == healed["at"]
    assert (blind.kind, blind.channels) == ("blind", ())
    assert blind.ended


async def test_stop_ends_the_process() -> None:
    district = await spawn("--cameras", "60")
    await district.told("ready")
    district.do(do="start")
    assert "--truth" in (await district.told("error"))["message"]
    district.do(do="stop")
    assert await asyncio.wait_for(district.process.wait(), 10) == 0


def test_a_scenario_without_a_truth_log_is_a_wrong_call() -> None:
    found = CliRunner().invoke(virtual, ["--scenario", "demo"])
    assert found.exit_code == 2
    assert "--truth" in found.output


async def test_the_runner_stamps_what_it_does_and_a_fault_follows_its_reboot(
    tmp_path: Path,
) -> None:
    fleet = Fleet()
    device = fleet.add(killable=True)
    script = [
        ScriptedTrouble("t1", "outage", Trouble.REFUSE, (device,), None, 0.05, 0.3),
        ScriptedTrouble("t2", "fault", Trouble.NOT_ONVIF, (device,), None, 0.3, None),
    ]
    path = tmp_path / "truth.jsonl"
    seen: list[str] = []
    async with fleet.served() as server:
        with TruthLog(path) as log:
            runner = Runner(server, script, log, lambda t: seen.append(f"{t.row.id} {t.state}"))
            await runner.run()
            assert (await ask(device, TIME)).headers["content-type"].startswith("text/html")
            runner.end_all()
            assert (await ask(device, TIME)).headers["content-type"].startswith("application/soap")
    assert seen == ["t1 begin", "t2 begin", "t1 end", "t2 end"]
    outage, fault = read_truth(path)
    assert (outage.cause, fault.cause, outage.device) == ("refuse", "not_onvif", device)
    assert outage.ended
    assert fault.ended
    assert abs((when(outage.ended) - when(fault.began)).total_seconds()) < 0.2
    assert len(path.read_text().splitlines()) == 4


async def test_a_node_takes_all_its_devices_and_names_what_is_below_it(tmp_path: Path) -> None:
    fleet = Fleet()
    fleet.nodes += [
        Node(NodeId("up"), NodeKind.UPLINK, "镇上联", NodeId("core")),
        Node(NodeId("acc"), NodeKind.ACCESS, "接入", NodeId("up")),
    ]
    devices = tuple(fleet.add(killable=True, node="acc", channels=2) for _ in range(5))
    script = [ScriptedTrouble("t1", "uplink", Trouble.DROP_SYN, devices, NodeId("up"), 0.0, 0.2)]
    async with fleet.served() as server:
        with TruthLog(tmp_path / "t") as log:
            await Runner(server, script, log).run()
        for device in devices:
            assert (await ask(device, TIME)).status == 200
    (row,) = read_truth(tmp_path / "t")
    assert (len(row.channels), row.node, row.below) == (10, "up", ("acc",))


def test_a_truth_log_cut_by_a_kill_is_read_up_to_the_cut() -> None:
    row = {
        "kind": "dip", "cause": "hang", "channels": ["c"], "device": "d", "node": None,
        "began": "2026-11-23T08:00:00+00:00", "ended": None, "id": "a", "below": [],
    }  # fmt: skip
    whole = json.dumps(row) + "\n"
    assert [row.id for row in read_rows([whole, whole[:40]])] == ["a"]
    with pytest.raises(ValueError, match="line 1"):
        read_rows(['{"other": 1}\n'])


def test_the_same_id_again_replaces_the_row_and_the_comparison_sees_its_end() -> None:
    line = TruthRow("outage", "hang", (), DeviceId("d"), None, "2026-11-23T08:00:00+00:00", id="a")
    first = json.dumps({"kind": "outage", "cause": "hang", "channels": ["c"], "device": "d",
                        "node": None, "began": line.began, "ended": None, "id": "a"}) + "\n"  # fmt: skip
    second = first.replace('"ended": null', '"ended": "2026-11-23T08:02:00+00:00"')
    (row,) = read_rows([first, second])
    span = WatchedSpan(when(row.began), when("2026-11-23T08:03:00+00:00"), frozenset())
    (interval,) = intervals([row], span, Rules())
    assert interval.ended == when("2026-11-23T08:02:00+00:00")
    assert compare([row], LedgerRows(), span).missed == 1

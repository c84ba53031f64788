"""`sightline import` and `sightline keys` as people call them, on a real store."""

import asyncio
import csv
import json
import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from archive_files import FOLDER, PLACES
from python_calamine import CalamineWorkbook

from adapters.memory import MemoryStore
from gateway.commands.import_ import ImportRequest, keys_file, run_import
from gateway.commands.import_output import defused
from gateway.commands.keys import rotate_keys
from gateway.commands.own_addresses import own_addresses
from gateway.domain.archive_fields import Kind
from gateway.domain.camera import ChannelId
from gateway.errors import ArchiveError, Refused, UsageError
from gateway.ports import Secret
from gateway.settings import Settings
from gateway.vault import Vault

CANARY = "canary-Pa55"
GOOD = [FOLDER / name for name in (*PLACES, "good-cameras.csv", "good-windows.csv")]
FIRST = ChannelId("61080200001320000001")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"store": {"state_dir": tmp_path / "state"}})


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore("memory:")
    await made.migrate()
    await made.open()
    return made


def credentials_file(folder: Path, text: str = "") -> Path:
    path = folder / "credentials.csv"
    path.write_text(text or f"name,username,password\ndistrict,admin,{CANARY}\n")
    return path


# --- the function that commands and the demo call


async def test_an_import_becomes_the_archive_with_its_record_and_audit_line(
    store: MemoryStore, settings: Settings
) -> None:
    stages: list[tuple[str, int, int]] = []
    plan = await run_import(
        store, settings, GOOD, ImportRequest(actor="tester"), lambda *stage: stages.append(stage)
    )
    held = await store.load_inventory()
    assert held.cameras == plan.inventory.cameras
    assert len(held.watched) == 12
    (record,) = await store.imports()
    assert (record.id, record.actor, record.files) == (
        plan.record.id, "tester", tuple(p.name for p in GOOD),
    )  # fmt: skip
    (line,) = await store.audit()
    assert (line.actor, line.action, line.target) == ("tester", "import", record.id)
    done = [step for _, step, _ in stages]
    assert done == sorted(done)
    assert done[-1] == stages[-1][2], "the bar ends full"


async def test_a_second_import_writes_nothing(store: MemoryStore, settings: Settings) -> None:
    await run_import(store, settings, GOOD)
    await run_import(store, settings, GOOD)
    assert len(await store.imports()) == 1
    assert len(await store.audit()) == 1


async def test_a_dry_run_writes_nothing_not_even_a_key(
    store: MemoryStore, settings: Settings, tmp_path: Path
) -> None:
    request = ImportRequest(dry_run=True, credentials=credentials_file(tmp_path))
    plan = await run_import(store, settings, GOOD, request)
    assert not settings.store.state_dir.exists()
    assert not await store.load_credentials()
    assert plan.counts["added"] == 12
    assert not (await store.load_inventory()).cameras
    assert not await store.imports()


async def test_a_refused_import_writes_nothing(store: MemoryStore, settings: Settings) -> None:
    files = [*GOOD[:3], FOLDER / "bad-mac.csv"]
    with pytest.raises(Refused, match="--strict allows none"):
        await run_import(store, settings, files, ImportRequest(strict=True))
    assert not (await store.load_inventory()).nodes


async def test_the_districts_own_divisions_are_taken_when_there_are_none(
    store: MemoryStore, settings: Settings
) -> None:
    await run_import(store, settings, [FOLDER / "good-nodes.csv"])
    held = await store.load_inventory()
    assert len(held.divisions) == 440
    await run_import(store, settings, [FOLDER / "good-divisions.csv"], ImportRequest(yes=True))
    assert len((await store.load_inventory()).divisions) == 7


async def test_loopback_is_taken_only_in_a_virtual_network(
    store: MemoryStore, settings: Settings
) -> None:
    files = [*GOOD[:3], FOLDER / "bad-refused_address.csv"]
    plan = await run_import(store, settings, files, ImportRequest(dry_run=True))
    assert plan.counts["quarantined"] == 1
    virtual = settings.model_copy(
        update={"network": settings.network.model_copy(update={"virtual": True})}
    )
    plan = await run_import(store, virtual, files, ImportRequest(dry_run=True))
    assert plan.counts["quarantined"] == 0


async def test_the_loop_stays_responsive_while_files_are_read(
    store: MemoryStore, settings: Settings, tmp_path: Path
) -> None:
    header, *rows = (FOLDER / "good-cameras.csv").read_text().splitlines()
    big = tmp_path / "big.csv"
    big.write_text("\n".join([header, *(rows * 300)]) + "\n")
    gaps: list[float] = []

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(0.005)
            gaps.append(loop.time() - last)
            last = loop.time()

    ticking = asyncio.create_task(tick())
    await run_import(store, settings, [big], ImportRequest(dry_run=True))
    ticking.cancel()
    assert len(gaps) > 10, "ticks went on during the import"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["missing.csv"], "missing.csv: cannot be read: No such file"),
        (["good-nodes.csv", "good-nodes.csv"], "a file is given twice"),
        (["README"], "README: no reader for this ending; there are csv, geojson, xlsx"),
    ],
)
async def test_wrong_calls_say_what_is_wrong(
    store: MemoryStore, settings: Settings, files: list[str], reason: str
) -> None:
    with pytest.raises(UsageError) as error:
        await run_import(store, settings, [FOLDER / name for name in files])
    assert reason in str(error.value)


async def test_files_of_one_name_from_two_folders_are_told_apart(
    store: MemoryStore, settings: Settings, tmp_path: Path
) -> None:
    other = tmp_path / "good-nodes.csv"
    other.write_text("id,kind,parent_id\ncore-2,core,\n")
    plan = await run_import(store, settings, [FOLDER / "good-nodes.csv", other])
    assert len(plan.inventory.nodes) == 4


async def test_the_kind_may_be_given(
    store: MemoryStore, settings: Settings, tmp_path: Path
) -> None:
    bare = tmp_path / "a.tsv"
    bare.write_text("节点编码\t名称\ncore\t核心\n")
    plan = await run_import(store, settings, [bare], ImportRequest(kind=Kind.NODES))
    assert set(plan.inventory.nodes) == {"core"}


# --- credentials


async def test_credentials_are_sealed_once_and_again_only_when_they_change(
    store: MemoryStore, settings: Settings, tmp_path: Path
) -> None:
    request = ImportRequest(credentials=credentials_file(tmp_path))
    await run_import(store, settings, GOOD, request)
    first = await store.load_credentials()
    assert CANARY.encode() not in first["district"]
    await run_import(store, settings, GOOD, request)
    assert await store.load_credentials() == first
    credentials_file(tmp_path, "名称,用户名,密码\ndistrict,admin,another\n")
    await run_import(store, settings, GOOD, request)
    vault = Vault.open(keys_file(settings))
    opened = vault.unseal_all(await store.load_credentials())
    assert opened["district"].password == Secret("another")


@pytest.mark.parametrize(
    "text",
    [
        f"district,admin,{CANARY}\nother,admin,{CANARY}\n",
        f"name,username,password\ndistrict,,{CANARY}\n",
        f"name,username,password\nd,a,{CANARY}\nd,a,{CANARY}\n",
        f'name,username,password\nd,a,"{CANARY}"x\n',
        f"{CANARY}\n",
    ],
)
async def test_a_bad_credentials_file_is_refused_without_its_values(
    store: MemoryStore, settings: Settings, tmp_path: Path, text: str
) -> None:
    request = ImportRequest(credentials=credentials_file(tmp_path, text))
    with pytest.raises(ArchiveError) as error:
        await run_import(store, settings, GOOD, request)
    assert CANARY not in str(error.value)
    assert not await store.load_credentials()


@pytest.mark.parametrize(
    "row", [f"d,admin,{CANARY},x", f"d,admin,{CANARY},", f"d,admin,{CANARY},,x,y"]
)
async def test_a_password_cut_short_by_a_comma_is_refused_with_its_row(
    store: MemoryStore, settings: Settings, tmp_path: Path, row: str
) -> None:
    text = f"name,username,password\nother,admin,fine\n{row}\n"
    request = ImportRequest(credentials=credentials_file(tmp_path, text))
    with pytest.raises(ArchiveError, match="row 3: it has more fields than there are") as error:
        await run_import(store, settings, GOOD, request)
    assert CANARY not in str(error.value)
    assert not await store.load_credentials()


async def test_empty_cells_below_the_empty_end_of_a_header_cut_nothing_short(
    store: MemoryStore, settings: Settings, tmp_path: Path
) -> None:
    text = f'name,username,password,,\nd,admin,"{CANARY},x",,\n'
    await run_import(
        store, settings, GOOD, ImportRequest(credentials=credentials_file(tmp_path, text))
    )
    sealed = await store.load_credentials()
    opened = Vault.open(keys_file(settings)).unseal("d", sealed["d"])
    assert opened.password == Secret(f"{CANARY},x")


async def test_rotating_keys_seals_everything_anew(
    store: MemoryStore, settings: Settings, tmp_path: Path
) -> None:
    await run_import(store, settings, GOOD, ImportRequest(credentials=credentials_file(tmp_path)))
    path = keys_file(settings)
    before, old = await store.load_credentials(), Vault.open(path)
    vault, count = await rotate_keys(store, path)
    after = await store.load_credentials()
    assert count == 1
    assert after != before
    assert vault.key_ids != old.key_ids
    assert vault.unseal("district", after["district"]).password == Secret(CANARY)
    with pytest.raises(UsageError):
        vault.unseal("district", before["district"])


def _hold(
    path: str, ready: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event"
) -> None:
    import fcntl

    with Path(path).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ready.set()
        done.wait(30)


async def test_two_rotations_never_run_at_once(store: MemoryStore, settings: Settings) -> None:
    path = keys_file(settings)
    Vault.open(path)
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(f"{path}.lock", ready, done))
    other.start()
    try:
        assert await asyncio.to_thread(ready.wait, 30)
        with pytest.raises(UsageError, match="another rotation is running"):
            await rotate_keys(store, path)
    finally:
        done.set()
        other.join()


# --- the command line


def sightline(
    *arguments: str | Path, state: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {
        "SIGHTLINE_STORE__DSN": "memory:",
        "SIGHTLINE_STORE__STATE_DIR": str(state),
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, arguments)],
        env=environ | environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


def test_the_command_shows_the_difference_and_the_repair_list(tmp_path: Path) -> None:
    files = [*GOOD[:3], FOLDER / "bad-mac.csv", GOOD[4]]
    done = sightline("import", *files, state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bad-mac.csv: cameras, 12 rows, utf-8, comma" in done.stdout
    assert "bad-mac.csv:4" in done.stdout
    assert "MAC地址无效" in done.stdout
    assert "已导入 imported as" in done.stdout


def test_a_monstrous_geometry_or_no_number_costs_its_row_and_not_the_file(tmp_path: Path) -> None:
    rows = [
        ("million", "Polygon", "[[" + "[109.73,38.28]," * 1_000_000 + "[109.73,38.28]]]"),
        ("nan", "Point", "[NaN,38.28]"),
        ("good", "Point", "[109.73,38.28]"),
    ]
    features = ",".join(
        f'{{"type":"Feature","properties":{{"id":"{name}","kind":"school"}},'
        f'"geometry":{{"type":"{kind}","coordinates":{coordinates}}}}}'
        for name, kind, coordinates in rows
    )
    places = tmp_path / "places.geojson"
    places.write_text(f'{{"type":"FeatureCollection","features":[{features}]}}')
    table = tmp_path / "places.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([
            ("id", "kind", "geometry"),
            *((name, "school", f'{{"type":"{kind}","coordinates":{coordinates}}}')
              for name, kind, coordinates in rows),
        ])  # fmt: skip
    for given, first in ((places, 1), (table, 2)):
        state = tmp_path / given.suffix
        done = sightline("import", "places", given, "--yes", "--json", state=state)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["counts"]["places"] == 1
        monster, nan = document["repairs"]
        assert (monster["code"], monster["row"]) == ("unusable_geometry", first)
        assert "vertices" in monster["reason"]
        assert (nan["code"], nan["row"]) == ("unusable_geometry", first + 1)
        assert "not a finite number" in nan["reason"]


def test_json_holds_the_whole_plan(tmp_path: Path) -> None:
    done = sightline("import", *GOOD[:3], FOLDER / "bad-mac.csv", "--json", state=tmp_path)
    document = json.loads(done.stdout)
    assert document["counts"]["added"] == 12
    assert document["applied"] is True
    (repair,) = document["repairs"]
    assert (repair["code"], repair["row"], repair["reason_zh"]) == ("bad_mac", 4, "MAC地址无效")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bad-mac.csv", "--strict"], 1, "not imported"),
        (["bad-mac.csv", "--strict", "--json"], 1, '"strict"'),
        (["broken-quotes.csv"], 2, "broken-quotes.csv: line 3"),
        (["good-nodes.csv", "--datum", "mars"], 2, "--datum"),
        (["good-nodes.csv", "--report", "x.pdf"], 2, "must end in .csv or .xlsx"),
        (["good-nodes.csv", "--dry-run"], 0, "dry run"),
    ],
)
def test_exit_codes_say_how_it_went(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    given = [FOLDER / a if a.endswith("csv") else a for a in arguments]
    done = sightline("import", *given, state=tmp_path)
    assert done.returncode == code
    assert message in done.stdout + done.stderr


def test_reports_hold_every_line_and_no_formula(tmp_path: Path) -> None:
    for ending in ("csv", "xlsx"):
        report = tmp_path / f"repairs.{ending}"
        done = sightline(
            "import", *GOOD[:3], FOLDER / "bad-formula_text.csv", "--report", report, state=tmp_path
        )
        assert done.returncode == 0, done.stderr
    with (tmp_path / "repairs.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["值 value"] == '\'=HYPERLINK("http://evil","x")'
    sheet = CalamineWorkbook.from_path(tmp_path / "repairs.xlsx").get_sheet_by_index(0)
    assert sheet.to_python()[1][3] == '=HYPERLINK("http://evil","x")', "as text, not as a formula"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_cells_that_start_like_formulas_are_defused(text: str) -> None:
    assert defused(text) == f"'{text}"
    assert defused(f"x{text}") == f"x{text}"


CANARY_CALLS = (
    ("csv", ""),
    ("xlsx", "--dry-run"),
    ("csv", "--json"),
    ("xlsx", "--strict"),
)


@pytest.mark.parametrize(("ending", "argument"), CANARY_CALLS)
def test_no_output_of_an_import_ever_holds_a_password(
    tmp_path: Path, ending: str, argument: str
) -> None:
    bad = tmp_path / "cameras.csv"
    header, *rows = (FOLDER / "bad-secret_column.csv").read_text().splitlines()
    rows[0] = rows[0].replace("东门街", f"rtsp://admin:{CANARY}@10.0.0.1/1")
    rows[1] = rows[1].replace("/onvif/device_service", f"/x?user=admin&password={CANARY}")
    bad.write_text("\n".join([header, *rows]) + "\n")
    report = tmp_path / f"report.{ending}"
    done = sightline(
        "import", *GOOD[:3], bad, "--credentials", credentials_file(tmp_path),
        "--report", report, *argument.split(), state=tmp_path / "state",
        SIGHTLINE_LOG__LEVEL="debug",
    )  # fmt: skip
    assert done.returncode == (1 if argument == "--strict" else 0), done.stderr
    assert CANARY not in done.stdout + done.stderr
    written = report.read_bytes()
    if ending == "xlsx":
        sheet = CalamineWorkbook.from_path(report).get_sheet_by_index(0)
        written = repr(sheet.to_python()).encode()
    assert b"secret_column" in written
    assert CANARY.encode() not in written
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes()


def test_a_credentials_file_given_as_an_archive_stays_unread(tmp_path: Path) -> None:
    done = sightline("import", credentials_file(tmp_path), state=tmp_path)
    assert done.returncode == 2
    assert "--credentials" in done.stderr
    assert CANARY not in done.stdout + done.stderr


def test_keys_are_listed_by_id_and_rotated(tmp_path: Path) -> None:
    listed = json.loads(sightline("keys", "list", "--json", state=tmp_path).stdout)
    assert listed["file"] == str(tmp_path / "keys")
    done = sightline("keys", "rotate", "--json", state=tmp_path)
    rotated = json.loads(done.stdout)
    assert rotated["credential_sets"] == 0
    assert len(rotated["keys"]) == 1
    assert rotated["keys"] != listed["keys"]
    key = (tmp_path / "keys").read_text().strip()
    plain = sightline("keys", "list", state=tmp_path)
    assert rotated["keys"][0] in plain.stdout
    assert key not in done.stdout + done.stderr + plain.stdout + plain.stderr


# --- the gateway's own addresses


def test_the_gateways_own_addresses_are_those_it_can_bind() -> None:
    found = own_addresses()
    assert "127.0.0.1" in found
    for address in found:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if address.startswith("fe80"):
            continue  # needs a scope to bind
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))


def test_where_the_system_lists_nothing_the_hosts_name_has_to_do(tmp_path: Path) -> None:
    assert own_addresses(tmp_path) <= own_addresses()

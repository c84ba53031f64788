"""What every store promises. Runs on each registered adapter, on each server there is."""

import dataclasses
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import ledger_rows as rows
from fakes.ledger_rows import at, channel, fault, incident, outage, rollup

from gateway.domain.camera import Camera, DivisionCode
from gateway.domain.ledger import Changes, Ending, GapReason, GatewayGap
from gateway.domain.observation import FaultCause
from gateway.errors import Conflict, StoreUnavailable
from gateway.inventory import Inventory
from gateway.ports import (
    Accepted,
    AuditEntry,
    IncidentNote,
    LedgerKind,
    LedgerQuery,
    NoteKind,
    Role,
    Store,
    Token,
)

EVERYTHING: Changes[datetime] = Changes(
    sequence=7,
    outages=(rows.FULL_OUTAGE, rows.BARE_OUTAGE),
    faults=(rows.FULL_FAULT, rows.BARE_FAULT),
    incidents=(rows.FULL_INCIDENT, rows.BARE_INCIDENT),
    gaps=rows.GAPS,
    channels=rows.CHANNELS,
    clock_steps=rows.CLOCK_STEPS,
    rollups=(rows.FULL_ROLLUP,),
    memories=rows.MEMORIES,
    watched_until_at=at(6),
)


async def all_rows(store: Store, kind: LedgerKind, **query: Any) -> tuple[Any, ...]:
    return (await store.ledger(kind, LedgerQuery(limit=1000, **query))).rows


async def ids(store: Store, kind: LedgerKind, **query: Any) -> list[str]:
    return [row.id for row in await all_rows(store, kind, **query)]


async def test_a_migrated_store_has_the_schema_of_the_release(store: Store) -> None:
    await store.check_schema()
    assert list(await store.migrate()) == []
    await store.check_schema()


async def test_a_store_is_claimed_again_and_again_and_takes_batches(store: Store) -> None:
    await store.claim()
    await store.commit(Changes(1))
    await store.claim()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.commit(Changes(2))


# ---------------------------------------------------------------- the archive


async def test_an_empty_store_has_an_empty_archive_and_no_live_state(store: Store) -> None:
    assert await store.load_inventory() == Inventory()
    live = await store.load_live()
    assert (live.outages, live.channels, live.watched_until_at, live.sequence) == ((), (), None, 0)


async def test_an_archive_comes_back_with_every_field_and_in_its_order(store: Store) -> None:
    archive = rows.archive()
    await store.save_import(rows.RECORD, archive)
    loaded = await store.load_inventory()
    assert loaded == archive
    for name in ("cameras", "devices", "nodes", "divisions", "grids"):
        assert list(getattr(loaded, name)) == list(getattr(archive, name)), name
    assert loaded.windows == archive.windows


async def test_an_import_is_remembered_with_its_repair_list(store: Store) -> None:
    later = dataclasses.replace(rows.RECORD, id="import-2", at=at(0), repairs=())
    await store.save_import(rows.RECORD, rows.archive())
    await store.save_import(later, rows.archive())
    assert list(await store.imports()) == [later, rows.RECORD]
    assert list(await store.imports(limit=1)) == [later]


async def test_saving_the_same_archive_again_makes_no_new_version(store: Store) -> None:
    await store.save_import(rows.RECORD, rows.archive())
    await store.save_import(
        dataclasses.replace(rows.RECORD, id="import-2", at=at(0)), rows.archive()
    )
    assert await store.load_inventory(at(-30)) == await store.load_inventory() == rows.archive()


async def test_the_archive_of_an_earlier_time_can_be_asked(store: Store) -> None:
    before = rows.archive()
    renamed = dataclasses.replace(before.cameras[channel(1)], name="新名", longitude=None)
    after = dataclasses.replace(before, cameras={**before.cameras, channel(1): renamed}, windows=())
    await store.save_import(rows.RECORD, before)
    await store.save_import(dataclasses.replace(rows.RECORD, id="import-2", at=at(0)), after)
    assert await store.load_inventory() == after
    assert (await store.load_inventory(at(-1))).cameras == before.cameras
    assert set((await store.load_inventory(at(-1))).windows) == set(before.windows)
    assert await store.load_inventory(at(-61)) == Inventory()


async def test_a_camera_missing_from_an_import_is_decommissioned_never_deleted(
    store: Store,
) -> None:
    before = rows.archive()
    cameras = {key: camera for key, camera in before.cameras.items() if key != channel(1)}
    await store.save_import(rows.RECORD, before)
    for number in (2, 3):
        record = dataclasses.replace(rows.RECORD, id=f"import-{number}", at=at(number))
        await store.save_import(record, dataclasses.replace(before, cameras=cameras))
    now = (await store.load_inventory()).cameras
    assert now[channel(1)] == dataclasses.replace(before.cameras[channel(1)], in_use=False)
    assert len(now) == len(before.cameras)


async def test_two_imports_at_one_moment_both_take_effect(store: Store) -> None:
    await store.save_import(rows.RECORD, rows.archive(3))
    await store.save_import(dataclasses.replace(rows.RECORD, id="import-2"), rows.archive(5))
    await store.save_import(
        dataclasses.replace(rows.RECORD, id="import-3", at=at(-90)), rows.archive(6)
    )
    assert await store.load_inventory() == rows.archive(6)


async def test_a_repeated_import_of_one_record_is_kept_once(store: Store) -> None:
    await store.save_import(rows.RECORD, rows.archive())
    await store.save_import(rows.RECORD, rows.archive())
    assert list(await store.imports()) == [rows.RECORD]


async def test_sealed_credentials_are_replaced_by_name(store: Store) -> None:
    await store.save_credentials({"镇东": b"\x00\xff", "b": b"1"})
    await store.save_credentials({"b": b"2"})
    assert dict(await store.load_credentials()) == {"镇东": b"\x00\xff", "b": b"2"}


# ---------------------------------------------------------------- one judged batch


async def test_every_row_comes_back_with_every_field(store: Store) -> None:
    await store.commit(EVERYTHING)
    assert await all_rows(store, LedgerKind.OUTAGES) == (rows.BARE_OUTAGE, rows.FULL_OUTAGE)
    assert await all_rows(store, LedgerKind.FAULTS) == (rows.BARE_FAULT, rows.FULL_FAULT)
    found = await all_rows(store, LedgerKind.INCIDENTS, include_merged=True)
    assert found == (rows.BARE_INCIDENT, rows.FULL_INCIDENT)
    assert await all_rows(store, LedgerKind.GAPS) == rows.GAPS[::-1]
    assert list(await store.rollups("2026-03-01", "2026-03-01")) == [rows.FULL_ROLLUP]
    assert await store.incident("i-full") == rows.FULL_INCIDENT
    assert await store.incident("none") is None
    assert await store.outage("o-full") == rows.FULL_OUTAGE
    assert await store.outage("none") is None


async def test_a_restart_finds_what_is_open_and_what_was_learned(store: Store) -> None:
    await store.commit(EVERYTHING)
    live = await store.load_live()
    assert live.outages == (rows.BARE_OUTAGE,)
    assert live.faults == (rows.BARE_FAULT,)
    assert live.incidents == (rows.BARE_INCIDENT,)
    assert live.gaps == (rows.GAPS[1],)
    assert live.channels == rows.CHANNELS
    assert live.memories == rows.MEMORIES
    assert (live.watched_until_at, live.sequence) == (at(6), 7)


async def test_a_batch_written_twice_changes_nothing(store: Store) -> None:
    await store.commit(EVERYTHING)
    before = await store.load_live()
    pages = [await all_rows(store, kind, include_merged=True) for kind in LedgerKind]
    await store.commit(EVERYTHING)
    assert await store.load_live() == before
    assert [await all_rows(store, kind, include_merged=True) for kind in LedgerKind] == pages


async def test_a_later_snapshot_of_a_row_replaces_it(store: Store) -> None:
    await store.commit(EVERYTHING)
    closed = dataclasses.replace(
        rows.BARE_OUTAGE, ended_at=at(9), bad_s=240.0, ending=Ending.RECOVERED, incident="i-bare"
    )
    gap = dataclasses.replace(rows.GAPS[1], ended_at=at(8))
    state = dataclasses.replace(rows.CHANNELS[1], since_at=at(9))
    day = dataclasses.replace(rows.FULL_ROLLUP, probes=(9,) * 24)
    await store.commit(
        Changes(
            8,
            outages=(closed,),
            gaps=(gap,),
            channels=(state,),
            rollups=(day,),
            watched_until_at=at(9),
        )
    )
    live = await store.load_live()
    assert (live.outages, live.gaps) == ((), ())
    assert list(await store.rollups("2026-03-01", "2026-03-01")) == [day]
    assert live.channels == (rows.CHANNELS[0], state)
    assert (live.watched_until_at, live.sequence) == (at(9), 8)
    assert closed in await all_rows(store, LedgerKind.OUTAGES)


async def test_the_sequence_never_falls(store: Store) -> None:
    await store.commit(Changes(9))
    await store.commit(Changes(4))
    assert (await store.load_live()).sequence == 9


async def test_one_channel_has_at_most_one_open_outage(store: Store) -> None:
    await store.commit(Changes(1, outages=(outage("a", 1, 0),)))
    with pytest.raises(Conflict):
        await store.commit(Changes(2, outages=(outage("b", 1, 1),)))
    assert await ids(store, LedgerKind.OUTAGES) == ["a"]


async def test_a_refused_batch_leaves_nothing_behind(store: Store) -> None:
    await store.commit(Changes(1, outages=(outage("a", 1, 0),)))
    with pytest.raises(Conflict):
        await store.commit(
            Changes(
                2,
                incidents=(incident("i", "n", 1),),
                outages=(outage("b", 1, 1), outage("c", 2, 1)),
            )
        )
    assert await ids(store, LedgerKind.INCIDENTS) == []
    assert await ids(store, LedgerKind.OUTAGES) == ["a"]
    assert (await store.load_live()).sequence == 1


async def test_one_batch_may_close_a_row_and_open_the_next_whatever_their_order(
    store: Store,
) -> None:
    await store.commit(Changes(1, outages=(outage("b", 1, 0),)))
    await store.commit(Changes(2, outages=(outage("a", 1, 5), outage("b", 1, 0, 4))))
    assert await ids(store, LedgerKind.OUTAGES) == ["a", "b"]
    assert [o.id for o in (await store.load_live()).outages] == ["a"]


async def test_faults_of_different_causes_may_be_open_together_but_not_two_of_one(
    store: Store,
) -> None:
    await store.commit(
        Changes(1, faults=(fault("a", 1, FaultCause.AUTH, 0), fault("c", 1, FaultCause.CLOCK, 0)))
    )
    with pytest.raises(Conflict):
        await store.commit(Changes(2, faults=(fault("b", 1, FaultCause.AUTH, 1),)))


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0])
async def test_seconds_that_are_no_number_are_refused_as_our_own_mistake(
    store: Store, value: float
) -> None:
    with pytest.raises(ValueError):
        await store.commit(Changes(1, outages=(outage("a", 1, 0, bad_s=value),)))
    assert await ids(store, LedgerKind.OUTAGES) == []


async def test_a_day_without_24_slots_is_refused(store: Store) -> None:
    with pytest.raises(ValueError):
        await store.commit(
            Changes(1, rollups=(dataclasses.replace(rows.FULL_ROLLUP, good_s=(1.0,)),))
        )


async def test_what_a_broken_device_says_does_not_stop_a_batch(store: Store) -> None:
    said = ("soap: \x00\udcff 你好",)
    await store.commit(Changes(1, outages=(outage("a", 1, 0, reason=said),)))
    (found,) = await all_rows(store, LedgerKind.OUTAGES)
    assert found.reason[0].startswith("soap: ")
    assert found.reason[0].endswith(" 你好")


async def test_the_later_of_two_snapshots_in_one_batch_counts(store: Store) -> None:
    await store.commit(Changes(1, outages=(outage("a", 1, 0), outage("a", 1, 0, bad_s=5.0))))
    (found,) = await all_rows(store, LedgerKind.OUTAGES)
    assert found.bad_s == 5.0


# ---------------------------------------------------------------- reading the ledger


async def test_pages_are_newest_first_and_join_without_gap_or_repeat(store: Store) -> None:
    batch = tuple(outage(f"o{n:02d}", n, failed=n // 3, ended=50) for n in range(20))
    await store.commit(Changes(1, outages=batch))
    seen: list[str] = []
    query = LedgerQuery(limit=7)
    while True:
        page = await store.ledger(LedgerKind.OUTAGES, query)
        seen += [row.id for row in page.rows]
        if page.next is None:
            break
        assert len(page.rows) == 7
        query = dataclasses.replace(query, after=page.next)
    newest = sorted(batch, key=lambda row: (row.failed_at, row.id), reverse=True)
    assert seen == [row.id for row in newest]


async def test_outages_of_some_channels_are_paged_as_those_of_all(store: Store) -> None:
    batch = tuple(outage(f"o{n:02d}", n % 5, failed=n, ended=n + 0.5) for n in range(20))
    await store.commit(Changes(1, outages=batch))
    some = tuple(channel(n) for n in (1, 3, 99))
    wanted = [row.id for row in reversed(batch) if row.channel in some]
    first = await store.ledger(LedgerKind.OUTAGES, LedgerQuery(limit=5, channels=some))
    rest = await store.ledger(
        LedgerKind.OUTAGES, LedgerQuery(limit=5, channels=some, after=first.next)
    )
    assert [row.id for row in (*first.rows, *rest.rows)] == wanted
    assert (len(first.rows), rest.next) == (5, None)
    assert not (await store.ledger(LedgerKind.OUTAGES, LedgerQuery(channels=()))).rows
    for kind in (LedgerKind.FAULTS, LedgerKind.INCIDENTS, LedgerKind.GAPS):
        assert not (await store.ledger(kind, LedgerQuery(channels=some))).rows


async def test_a_page_that_is_exactly_full_at_the_end_has_no_next(store: Store) -> None:
    await store.commit(Changes(1, outages=(outage("a", 1, 0), outage("b", 2, 1))))
    assert (await store.ledger(LedgerKind.OUTAGES, LedgerQuery(limit=2))).next is None
    page = await store.ledger(LedgerKind.OUTAGES, LedgerQuery(limit=1))
    assert page.next == (at(1), "b")


async def test_ids_of_one_moment_are_ordered_by_code_point_on_every_store(store: Store) -> None:
    names = ["a", "B", "Z", "é", "一", "a-1", "A"]
    await store.commit(
        Changes(1, gaps=tuple(GatewayGap(n, GapReason.STALLED, at(0), at(1)) for n in names))
    )
    assert await ids(store, LedgerKind.GAPS) == sorted(names, reverse=True)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ["open", "late", "early"]),
        (10, None, ["open", "late"]),  # a row that ends as the window begins is outside
        (9.9, None, ["open", "late", "early"]),
        (None, 30, ["late", "early"]),  # one that begins as it ends, too
        (None, 30.1, ["open", "late", "early"]),
        (12, 18, []),
        (40, 50, ["open"]),
    ],
)
async def test_a_window_selects_the_rows_that_overlap_it(
    store: Store, since: float | None, until: float | None, expected: list[str]
) -> None:
    await store.commit(
        Changes(
            1,
            outages=(outage("early", 1, 0, 10), outage("late", 2, 20, 25), outage("open", 3, 30)),
        )
    )
    window = {
        "since": None if since is None else at(since),
        "until": None if until is None else at(until),
    }
    assert await ids(store, LedgerKind.OUTAGES, **window) == expected


async def test_outages_are_filtered_by_what_they_carry(store: Store) -> None:
    await store.save_import(rows.RECORD, rows.archive(4))
    await store.commit(
        Changes(
            1,
            outages=(
                outage("a", 1, 0, 5, incident="i"),
                outage("b", 2, 1, incident="i"),
                outage("c", 3, 2, cause=rows.FULL_OUTAGE.cause),
            ),
            faults=(fault("f", 1, FaultCause.AUTH, 0), fault("g", 2, FaultCause.CLOCK, 1)),
        )
    )
    kind = LedgerKind.OUTAGES
    assert await ids(store, kind, open_only=True) == ["c", "b"]
    assert await ids(store, kind, channel=channel(1)) == ["a"]
    assert await ids(store, kind, township="610802101") == ["a"]
    assert await ids(store, kind, township="610802102") == ["c", "b"]
    assert await ids(store, kind, cause="refused") == ["c"]
    assert await ids(store, kind, incident="i") == ["b", "a"]
    assert await ids(store, kind, incident="i", open_only=True, township="610802102") == ["b"]
    assert await ids(store, LedgerKind.FAULTS, township="610802101", incident="i") == ["f"]
    assert await ids(store, LedgerKind.FAULTS, cause="clock", channel=channel(2)) == ["g"]


async def test_the_township_of_a_row_is_that_of_the_current_archive(store: Store) -> None:
    await store.save_import(rows.RECORD, rows.archive())
    await store.commit(Changes(1, outages=(outage("a", 1, 0),)))
    archive = rows.archive()
    moved: Camera = dataclasses.replace(
        archive.cameras[channel(1)], township=DivisionCode("610802103")
    )
    moved_archive = dataclasses.replace(archive, cameras={**archive.cameras, moved.id: moved})
    await store.save_import(dataclasses.replace(rows.RECORD, id="2", at=at(1)), moved_archive)
    assert await ids(store, LedgerKind.OUTAGES, township="610802101") == []
    assert await ids(store, LedgerKind.OUTAGES, township="610802103") == ["a"]


async def test_incidents_are_found_by_their_children_and_merged_ones_only_when_asked(
    store: Store,
) -> None:
    await store.save_import(rows.RECORD, rows.archive())
    await store.commit(
        Changes(
            1,
            incidents=(
                incident("up", "uplink-1", 0),
                incident("one", channel(2), 1),
                incident("gone", "access-1", 2, 3, merged_into="up", ending=Ending.MERGED),
            ),
            outages=(outage("a", 1, 0, incident="up"),),
        )
    )
    kind = LedgerKind.INCIDENTS
    assert await ids(store, kind) == ["one", "up"]
    assert await ids(store, kind, include_merged=True) == ["gone", "one", "up"]
    assert await ids(store, kind, channel=channel(1)) == ["up"]
    assert await ids(store, kind, township="610802101") == ["up"]
    assert await ids(store, kind, township="610802102") == ["one"]
    assert await ids(store, kind, incident="up", include_merged=True) == ["gone", "up"]
    assert await ids(store, kind, cause="timeout") == []


async def test_filters_that_do_not_apply_to_gaps_are_ignored(store: Store) -> None:
    await store.commit(Changes(1, gaps=rows.GAPS))
    found = await ids(
        store, LedgerKind.GAPS, channel=channel(1), township="x", cause="y", incident="z"
    )
    assert found == ["g-2", "g-1"]
    assert await ids(store, LedgerKind.GAPS, open_only=True) == ["g-2"]


async def test_rollups_are_read_by_days_and_channel(store: Store) -> None:
    days = tuple(rollup(n, f"2026-03-0{d}") for d in (1, 2, 3) for n in (2, 1))
    await store.commit(Changes(1, rollups=days))
    found = [(r.day, r.channel) for r in await store.rollups("2026-03-02", "2026-03-03")]
    assert found == [(f"2026-03-0{d}", channel(n)) for d in (2, 3) for n in (1, 2)]
    assert list(await store.rollups("2026-03-01", "2026-03-01", channel(2))) == [days[0]]


async def test_a_day_of_the_fleet_comes_in_portions_each_channel_once(store: Store) -> None:
    days = [rollup(number, "2026-03-02", float(number)) for number in range(1, 1203)]
    days.append(rollup(5, "2026-03-01"))
    await store.commit(Changes(1, rollups=tuple(days)))
    portions = [rows async for rows in store.rollup_portions("2026-03-02")]
    assert [row for rows in portions for row in rows] == days[:-1]
    assert max(map(len, portions)) <= 1000
    assert [rows async for rows in store.rollup_portions("2026-03-03")] == []


async def test_a_day_is_added_up_by_kind_of_second(store: Store) -> None:
    days = [rows.FULL_ROLLUP, *(rollup(n, "2026-03-01", n / 8) for n in range(10, 1010))]
    await store.commit(Changes(1, rollups=tuple(days)))
    found = [row async for rows in store.day_seconds("2026-03-01") for row in rows]
    by_channel = {row.channel: row for row in found}
    assert len(by_channel) == len(found) == len(days)
    for day in days:
        wanted, got = day.added_up(), by_channel[day.channel]
        for name in ("channel", "day"):
            assert getattr(got, name) == getattr(wanted, name)
        for field in dataclasses.fields(wanted)[2:]:
            assert getattr(got, field.name) == pytest.approx(getattr(wanted, field.name))


async def test_an_archive_without_shapes_has_everything_else(store: Store) -> None:
    archive = rows.archive()
    await store.save_import(rows.RECORD, archive)
    plain = await store.load_inventory(shapes=False)
    assert any(cell.polygons for cell in archive.grids.values())
    bare = {key: dataclasses.replace(c, polygons=()) for key, c in archive.grids.items()}
    assert plain == dataclasses.replace(archive, grids=bare)
    assert list(plain.grids) == list(archive.grids)
    assert await store.load_inventory() == archive


# ---------------------------------------------------------------- people


async def test_notes_are_kept_once_and_read_oldest_first(store: Store) -> None:
    later = IncidentNote("n1", "i1", at(2), "值班员", NoteKind.NOTE, "已派单")
    first = IncidentNote("n2", "i1", at(1), "op", NoteKind.ACKNOWLEDGE, "停电", at(60))
    other = IncidentNote("n3", "i2", at(0), "op", NoteKind.NOTE, "")
    for note in (later, first, other, first):
        await store.add_note(note)
    assert list(await store.notes(["i1"])) == [first, later]
    assert list(await store.notes(["i1", "i2"])) == [other, first, later]
    assert list(await store.notes([])) == []


async def test_the_first_acceptance_of_a_camera_stands(store: Store) -> None:
    first = Accepted(channel(2), at(1), "值班员", "移交维保")
    other = Accepted(channel(1), at(2), "cli:root", "全区验收")
    await store.save_accepted([first, replace(first, actor="twice in a batch")])
    await store.save_accepted([replace(first, at=at(3)), other])
    assert list(await store.accepted()) == [other, first]
    assert list((await store.load_live()).accepted) == [other, first]


async def test_a_token_is_replaced_by_its_id_and_its_digest_belongs_to_it_alone(
    store: Store,
) -> None:
    token = Token("t1", "控制台", Role.OPERATOR, b"\x01" * 32, at(0), at(99))
    other = Token("t2", "center", Role.CENTER, b"\x02" * 32, at(1))
    revoked = dataclasses.replace(token, revoked_at=at(5))
    for saved in (token, other, revoked):
        await store.save_token(saved)
    assert list(await store.tokens()) == [revoked, other]
    with pytest.raises(Conflict):
        await store.save_token(dataclasses.replace(other, id="t3"))


def entry(minute: float, action: str = "check") -> AuditEntry:
    return AuditEntry(
        at(minute), "值班员", "operator", action, "camera/1", "ok", "详情", "10.0.0.1"
    )


async def test_audit_lines_are_numbered_upwards_and_read_newest_first(store: Store) -> None:
    for minute in range(5):
        await store.append_audit(entry(minute))
    found = list(await store.audit(limit=3))
    assert [dataclasses.replace(line, id=0) for line in found] == [entry(4), entry(3), entry(2)]
    assert found[0].id > found[1].id > found[2].id > 0
    rest = list(await store.audit(before_id=found[-1].id))
    assert [dataclasses.replace(line, id=0) for line in rest] == [entry(1), entry(0)]


async def test_an_audit_line_written_twice_stands_once_and_leaves_no_gap(store: Store) -> None:
    for line in (entry(0), entry(0), entry(0, action="other"), entry(1)):
        await store.append_audit(line)
    numbers = [line.id for line in await store.audit()]
    assert numbers == [numbers[-1] + 2, numbers[-1] + 1, numbers[-1]]


async def test_pruning_removes_what_is_past_its_retention_and_never_young_audit_lines(
    store: Store,
) -> None:
    now = datetime(2026, 3, 1, 17, 0, tzinfo=UTC)  # 2 March in Shanghai
    ages = (182, 184, 401)
    for days in ages:
        await store.append_audit(dataclasses.replace(entry(0), at=now - timedelta(days=days)))
    await store.commit(
        Changes(
            1, rollups=tuple(rollup(1, day) for day in ("2026-01-29", "2026-01-30", "2026-03-01"))
        )
    )
    await store.prune(now, audit_days=400, rollup_days=31)
    assert [(now - line.at).days for line in await store.audit()] == [184, 182]
    assert [r.day for r in await store.rollups("2000-01-01", "2099-01-01")] == [
        "2026-01-30",
        "2026-03-01",
    ]
    await store.prune(now, audit_days=1, rollup_days=31)
    assert [(now - line.at).days for line in await store.audit()] == [182]


# ---------------------------------------------------------------- itself


async def test_it_answers_while_open_and_says_so_when_closed(store: Store) -> None:
    await store.ping()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await store.open()
    await store.ping()


async def test_migrating_again_applies_nothing(store: Store) -> None:
    assert list(await store.migrate()) == []

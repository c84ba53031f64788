"""What every store promises about coverage. Runs on each adapter, on each server there is."""

import contextlib
import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from fakes import coverage_rows as rows
from fakes import ledger_rows
from fakes.coverage_rows import blind_spot, interval
from fakes.event_rows import alert
from fakes.ledger_rows import RECORD, at, channel

from gateway.domain.coverage.place import Footprint, Place, PlaceId, PlaceList
from gateway.domain.coverage.rows import CoverageChanges, PlaceInterval, PlaceState
from gateway.domain.ledger import Changes, GapReason, GatewayGap
from gateway.errors import Conflict, StoreUnavailable
from gateway.ports import Store
from gateway.ports.coverage import (
    BlindSpotQuery,
    CoverageLive,
    PastCoverage,
    PastPlace,
    PlanStatus,
)

EVERYTHING = CoverageChanges(
    7,
    at(6),
    (rows.FULL_SPOT, rows.BARE_SPOT),
    (rows.FULL_INTERVAL, rows.BARE_INTERVAL),
    (alert("a1", "b-full"), alert("a2", "b-bare")),
    rows.BASIS,
)


async def ids(store: Store, **query: Any) -> list[str]:
    found, _ = await store.coverage.blind_spots(BlindSpotQuery(limit=1000, **query))
    return [row.id for row in found]


async def interval_ids(store: Store, since: float, until: float, **more: Any) -> list[str]:
    return [row.id for row in await store.coverage.intervals(at(since), at(until), **more)]


# ---------------------------------------------------------------- what coverage is told


async def test_an_empty_store_is_told_nothing_and_knows_nothing(store: Store) -> None:
    assert await store.coverage.load_places() == PlaceList()
    assert await store.coverage.load() == CoverageLive()
    assert await store.coverage.blind_spots(BlindSpotQuery()) == ([], None)
    assert list(await store.coverage.plans()) == []


async def test_places_come_back_with_every_field_and_in_their_order(store: Store) -> None:
    await store.coverage.save_places(RECORD, rows.PLACES)
    found = await store.coverage.load_places()
    assert found == rows.PLACES
    assert list(found.places) == ["p2", "p1", "p0"]
    assert list(found.candidates) == ["s2", "s1"]
    assert list(await store.coverage.candidates()) == list(rows.PLACES.candidates.values())
    assert list(await store.imports()) == [RECORD]


async def test_the_places_of_an_earlier_time_can_be_asked(store: Store) -> None:
    heavier = dataclasses.replace(rows.PLACES.places[PlaceId("p2")], weight=9.0)
    later = PlaceList.of(places=(heavier,), footprints=rows.PLACES.footprints[:1])
    await store.coverage.save_places(RECORD, rows.PLACES)
    await store.coverage.save_places(dataclasses.replace(RECORD, id="2", at=at(0)), later)
    assert await store.coverage.load_places() == later
    before = await store.coverage.load_places(at(-1))
    assert dict(before.places) == dict(rows.PLACES.places)
    assert {f.id for f in before.footprints} == {"b9", "b1"}
    assert dict(before.candidates) == dict(rows.PLACES.candidates)
    assert await store.coverage.load_places(at(-61)) == PlaceList()


async def test_saving_the_same_places_again_makes_no_new_version(store: Store) -> None:
    await store.coverage.save_places(RECORD, rows.PLACES)
    as_tuples = dataclasses.replace(
        rows.PLACES.places[PlaceId("p0")],
        geometry={"coordinates": ((109.7, 38.2), (109.8, 38.3)), "type": "LineString"},
    )
    same = dataclasses.replace(rows.PLACES, places={**rows.PLACES.places, as_tuples.id: as_tuples})
    await store.coverage.save_places(dataclasses.replace(RECORD, id="2", at=at(0)), same)
    assert (await store.coverage.load_places(at(-30))).footprints == rows.PLACES.footprints
    assert list((await store.coverage.load_places(at(-30))).places) == ["p2", "p1", "p0"]


async def test_a_place_list_and_an_archive_do_not_touch_each_other(store: Store) -> None:
    await store.save_import(RECORD, ledger_rows.archive())
    await store.coverage.save_places(dataclasses.replace(RECORD, id="2", at=at(-90)), rows.PLACES)
    assert await store.load_inventory() == ledger_rows.archive()
    assert await store.coverage.load_places() == rows.PLACES


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_weight_that_counts_for_nothing_is_refused_as_our_own_mistake(
    store: Store, weight: float
) -> None:
    place = Place(PlaceId("p"), "x", "road", rows.ROAD, weight=weight)
    with pytest.raises(ValueError):
        await store.coverage.save_places(RECORD, PlaceList.of(places=(place,)))
    assert await store.coverage.load_places() == PlaceList()


async def test_tens_of_thousands_of_footprints_are_saved_and_changed(store: Store) -> None:
    many = tuple(Footprint(f"b{n:05d}", rows.SQUARE) for n in range(20_000))
    await store.coverage.save_places(RECORD, PlaceList.of(footprints=many))
    changed = (*many[:-1], Footprint("b19999", rows.ROAD), Footprint("b20000", rows.SQUARE))
    await store.coverage.save_places(
        dataclasses.replace(RECORD, id="2", at=at(0)), PlaceList.of(footprints=changed)
    )
    assert (await store.coverage.load_places()).footprints == changed
    assert len((await store.coverage.load_places(at(-1))).footprints) == 20_000


# ---------------------------------------------------------------- one batch of the worker


async def test_every_row_comes_back_with_every_field(store: Store) -> None:
    await store.coverage.commit(EVERYTHING)
    found, more = await store.coverage.blind_spots(BlindSpotQuery())
    assert (list(found), more) == ([rows.BARE_SPOT, rows.FULL_SPOT], None)
    assert await store.coverage.blind_spot("b-full") == rows.FULL_SPOT
    assert await store.coverage.blind_spot("none") is None
    found_intervals = await store.coverage.intervals(at(-100), at(100))
    assert list(found_intervals) == [rows.FULL_INTERVAL, rows.BARE_INTERVAL]
    assert [a.id for a in await store.events.alerts()] == ["a1", "a2"]


async def test_a_restart_finds_what_is_open_and_where_to_go_on(store: Store) -> None:
    await store.coverage.commit(EVERYTHING)
    assert await store.coverage.load() == CoverageLive(
        7, at(6), (rows.BARE_SPOT,), (rows.BARE_INTERVAL,), rows.BASIS
    )


async def test_a_batch_written_twice_changes_nothing(store: Store) -> None:
    await store.coverage.commit(EVERYTHING)
    before = await store.coverage.load(), await store.events.alerts()
    await store.coverage.commit(EVERYTHING)
    assert (await store.coverage.load(), await store.events.alerts()) == before


async def test_a_later_snapshot_of_a_row_replaces_it(store: Store) -> None:
    await store.coverage.commit(EVERYTHING)
    closed = dataclasses.replace(
        rows.BARE_SPOT, ended_at=at(9), polygon=rows.SQUARE, joint=(channel(9),)
    )
    over = dataclasses.replace(rows.BARE_INTERVAL, ended_at=at(9), state=PlaceState.PARTLY)
    await store.coverage.commit(CoverageChanges(8, at(9), (closed,), (over,)))
    assert await store.coverage.load() == CoverageLive(8, at(9), basis=rows.BASIS)
    found, _ = await store.coverage.blind_spots(BlindSpotQuery())
    assert closed in found
    assert over in await store.coverage.intervals(at(0), at(100))


async def test_an_older_batch_does_not_move_the_progress_back(store: Store) -> None:
    await store.coverage.commit(CoverageChanges(9, at(9)))
    await store.coverage.commit(CoverageChanges(4, at(4)))
    live = await store.coverage.load()
    assert (live.sequence, live.as_of_at) == (9, at(9))
    await store.coverage.commit(CoverageChanges(9, at(8)))
    assert (await store.coverage.load()).as_of_at == at(8)


async def test_a_refused_batch_leaves_nothing_behind(store: Store) -> None:
    await store.coverage.commit(CoverageChanges(1, at(0), alerts=(alert("a1", "k"),)))
    with pytest.raises(Conflict):
        await store.coverage.commit(
            CoverageChanges(2, at(1), (rows.BARE_SPOT,), alerts=(alert("a2", "k"),))
        )
    for bad in (float("inf"), float("nan"), -1.0):
        spot = dataclasses.replace(rows.BARE_SPOT, area_m2=bad)
        with pytest.raises(ValueError):
            await store.coverage.commit(CoverageChanges(2, at(1), (spot,)))
    assert await store.coverage.load() == CoverageLive(1, at(0))
    assert [a.id for a in await store.events.alerts()] == ["a1"]


# ---------------------------------------------------------------- reading


async def test_pages_are_newest_first_and_join_without_gap_or_repeat(store: Store) -> None:
    batch = tuple(blind_spot(f"b{n:02d}", n, n // 3, 50) for n in range(20))
    await store.coverage.commit(CoverageChanges(1, at(0), batch))
    seen: list[str] = []
    query = BlindSpotQuery(limit=7)
    while True:
        found, after = await store.coverage.blind_spots(query)
        seen += [row.id for row in found]
        if after is None:
            break
        query = dataclasses.replace(query, after=after)
    newest = sorted(batch, key=lambda row: (row.failed_at, row.id), reverse=True)
    assert seen == [row.id for row in newest]


async def test_blind_spots_are_filtered_by_what_they_carry(store: Store) -> None:
    await store.save_import(RECORD, ledger_rows.archive())
    await store.coverage.commit(
        CoverageChanges(
            1,
            at(0),
            (
                blind_spot("early", 1, 0, 10, incident="i", places=(PlaceId("p1"), PlaceId("p2"))),
                blind_spot("late", 2, 20, 25, places=(PlaceId("p2"),)),
                blind_spot("open", 3, 30),
            ),
        )
    )
    assert await ids(store, open_only=True) == ["open"]
    assert await ids(store, channel=channel(2)) == ["late"]
    assert await ids(store, incident="i") == ["early"]
    assert await ids(store, place="p2") == ["late", "early"]
    assert await ids(store, place="p1") == ["early"]
    assert await ids(store, township="610802101") == ["early"]
    assert await ids(store, township="610802102") == ["open", "late"]
    assert await ids(store, since=at(10)) == ["open", "late"]
    assert await ids(store, until=at(20)) == ["early"]
    assert await ids(store, since=at(5), until=at(21)) == ["late", "early"]


async def test_intervals_of_a_window_come_by_place_and_start(store: Store) -> None:
    await store.coverage.commit(
        CoverageChanges(
            1,
            at(0),
            intervals=(
                interval("a", "p2", 0, 10),
                interval("b", "p1", 20, 30),
                interval("c", "p1", 5),
                interval("d", "p3", 40, 41),
            ),
        )
    )
    assert await interval_ids(store, 0, 100) == ["c", "b", "a", "d"]
    assert await interval_ids(store, 10, 40) == ["c", "b"]
    assert await interval_ids(store, 0, 6) == ["c", "a"]
    assert await interval_ids(store, 0, 100, place=PlaceId("p3")) == ["d"]


async def test_intervals_come_in_portions_too_all_of_one_moment(store: Store) -> None:
    def numbered(n: int) -> PlaceInterval:
        return interval(f"i{n:04d}", f"p{n % 7}", n % 50, None if n % 9 == 0 else n % 50 + n % 4)

    many = tuple(numbered(n) for n in range(1203))
    await store.coverage.commit(CoverageChanges(1, at(0), intervals=many))
    whole = await store.coverage.intervals(at(10), at(40))
    found: list[PlaceInterval] = []
    async with contextlib.aclosing(store.coverage.interval_portions(at(10), at(40))) as portions:
        async for rows in portions:
            assert 0 < len(rows) <= 500
            if not found:  # comes between two portions, and is in none of them
                late = interval("late", "p9", 20, 30)
                await store.coverage.commit(CoverageChanges(2, at(1), intervals=(late,)))
            found += rows
    assert found == list(whole)
    assert len(found) > 500
    async with contextlib.aclosing(store.coverage.interval_portions(at(0), at(50))) as portions:
        await anext(portions)  # who leaves early holds nothing
    await store.ping()


async def test_intervals_without_length_or_with_crossed_bounds_are_found_as_ever(
    store: Store,
) -> None:
    odd = (interval("point", "p1", 10, 10), interval("crossed", "p2", 20, 15),
           interval("long", "p3", 0, 100), interval("open", "p4", 50))  # fmt: skip
    await store.coverage.commit(CoverageChanges(1, at(0), intervals=odd))
    windows = [(since, until) for since in range(0, 60, 5) for until in range(since, 60, 5)]
    for since, until in windows:
        expected = {
            row.id for row in odd
            if (row.ended_at is None or row.ended_at > at(since)) and row.started_at < at(until)
        }  # fmt: skip
        assert set(await interval_ids(store, since, until)) == expected, (since, until)
    for when in range(0, 60, 5):
        told = await store.coverage.past(at(when), 10)
        held = [row.place for row in odd if row.started_at <= at(when)
                and (row.ended_at is None or row.ended_at > at(when))]  # fmt: skip
        assert [one.place for one in told.places] == held, when


async def test_the_weights_of_each_time_stay_known(store: Store) -> None:
    assert await store.coverage.bases(at(0), at(10)) == []
    assert await store.coverage.past(at(0), 10) == PastCoverage(None, 0.0, 0.0, 0.0, (), None)
    later = dataclasses.replace(rows.BASIS, valid_from=at(20), import_id="import-2", reached=11.0)
    for basis in (later, rows.BASIS, later):  # twice is harmless, and so is any order
        await store.coverage.commit(CoverageChanges(1, at(30), basis=basis))
    assert (await store.coverage.load()).basis == later
    windows = {(-9, 0): [], (-9, 1): [rows.BASIS], (1, 20): [rows.BASIS], (20, 30): [later],
               (5, 21): [rows.BASIS, later], (50, 60): [later]}  # fmt: skip
    for (since, until), all_told in windows.items():
        assert list(await store.coverage.bases(at(since), at(until))) == all_told
    for when, told in ((-1, None), (0, rows.BASIS), (19, rows.BASIS), (20, later), (99, later)):
        assert (await store.coverage.past(at(when), 10)).basis == told


async def test_a_past_moment_is_told_by_the_rows_and_the_names_of_then(store: Store) -> None:
    await store.coverage.save_places(RECORD, rows.PLACES)
    renamed = dataclasses.replace(rows.PLACES.places[PlaceId("p1")], name="renamed")
    places = {**rows.PLACES.places, PlaceId("p1"): renamed}
    second = dataclasses.replace(RECORD, id="second", at=at(12))
    await store.coverage.save_places(second, dataclasses.replace(rows.PLACES, places=places))
    intervals = (
        interval("a", "p1", 5, 20, weight_lost=2.0),
        interval("b", "p1", 5, 15, weight_lost=0.5, state=PlaceState.PARTLY),
        interval("c", "p1", 6, None, weight_lost=4.0, state=PlaceState.UNVERIFIED),
        interval("d", "p2", 9, 11, weight_lost=1.0, state=PlaceState.UNKNOWN),
        interval("e", "gone", 9, 11, weight_lost=8.0),
    )
    await store.coverage.commit(CoverageChanges(1, at(30), intervals=intervals))
    first = rows.PLACES.places
    p1 = PastPlace(PlaceId("p1"), first[PlaceId("p1")].name, 2.5, 0.0, 4.0)
    p2 = PastPlace(PlaceId("p2"), first[PlaceId("p2")].name, 0.0, 1.0, 0.0)
    gone = PastPlace(PlaceId("gone"), "", 8.0, 0.0, 0.0)
    told = await store.coverage.past(at(10), 10)
    assert told == PastCoverage(None, 10.5, 1.0, 4.0, (gone, p1, p2), None)
    page = await store.coverage.past(at(10), 2)
    assert (page.places, page.next, page.lost) == ((gone, p1), "p1", 10.5)
    assert (await store.coverage.past(at(10), 2, page.next)).places == (p2,)
    later = await store.coverage.past(at(15), 10)
    assert [(one.name, one.lost, one.unverified) for one in later.places] == [("renamed", 2.0, 4.0)]
    assert (await store.coverage.past(at(4), 10)).places == ()


async def test_a_past_moment_within_a_gap_of_the_gateway_was_not_observed(store: Store) -> None:
    gaps = (
        GatewayGap("over", GapReason.NOT_RUNNING, at(10), at(20)),
        GatewayGap("open", GapReason.BLIND, at(40)),
    )
    await store.commit(Changes(1, gaps=gaps))
    await store.coverage.commit(CoverageChanges(1, at(50), intervals=(interval("a", "p1", 5),)))
    for when, observed in {9: True, 10: False, 19: False, 20: True, 40: False, 99: False}.items():
        told = await store.coverage.past(at(when), 10)
        assert (told.observed, told.lost) == (observed, interval("a", "p1", 5).weight_lost), when


# ---------------------------------------------------------------- plans, retention


async def test_plans_are_replaced_by_id_listed_without_results_and_forgotten(store: Store) -> None:
    queued = dataclasses.replace(
        rows.PLAN, status=PlanStatus.QUEUED, progress=0.0, finished_at=None, result=None
    )
    other = dataclasses.replace(queued, id="plan-2", created_at=at(5), reason="内存不足")
    for plan in (queued, other, rows.PLAN):
        await store.coverage.save_plan(plan)
    assert await store.coverage.plan("plan-1") == rows.PLAN
    bare = dataclasses.replace(rows.PLAN, result=None)
    assert list(await store.coverage.plans()) == [other, bare]
    assert list(await store.coverage.plans(limit=1)) == [other]
    await store.coverage.delete_plan("plan-1")
    await store.coverage.delete_plan("plan-1")
    assert await store.coverage.plan("plan-1") is None
    with pytest.raises(ValueError):
        await store.coverage.save_plan(dataclasses.replace(other, progress=1.5))


async def test_closed_rows_go_when_their_time_is_over_and_open_ones_stay(store: Store) -> None:
    await store.coverage.commit(
        CoverageChanges(
            1,
            at(0),
            (blind_spot("old", 1, 0, 1), blind_spot("open", 2, 0), blind_spot("new", 3, 0, 99)),
            (interval("old", "p", 0, 1), interval("open", "p", 0), interval("new", "p", 1, 99)),
        )
    )
    await store.coverage.save_places(RECORD, rows.PLACES)
    await store.prune(at(50) + timedelta(days=31), audit_days=400, rollup_days=31)
    assert sorted(await ids(store)) == ["new", "open"]
    assert sorted(await interval_ids(store, 0, 1000)) == ["new", "open"]
    assert await store.coverage.load_places() == rows.PLACES


@pytest.mark.parametrize("limit", [20, 29, 30, 5])
async def test_beyond_the_retention_nothing_was_counted(store: Store, limit: int) -> None:
    bases = [
        dataclasses.replace(rows.BASIS, valid_from=at(when), import_id=f"import-{when}")
        for when in (10, 20, 30)
    ]
    for basis in bases:
        await store.coverage.commit(CoverageChanges(1, at(40), basis=basis))
    for _ in range(2):  # twice changes nothing
        await store.prune(at(limit) + timedelta(days=31), audit_days=400, rollup_days=31)
    kept = [basis for basis in bases if basis.valid_from > at(limit)]
    standing = [basis for basis in bases if basis.valid_from <= at(limit)][-1:]
    clipped = [dataclasses.replace(basis, valid_from=at(limit)) for basis in standing]
    assert list(await store.coverage.bases(at(-9), at(99))) == clipped + kept
    assert (await store.coverage.past(at(limit - 0.001), 9)).basis is None
    assert (await store.coverage.load()).basis == (clipped + kept)[-1]


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    for call in (store.coverage.load, store.coverage.load_places, store.coverage.plans):
        with pytest.raises(StoreUnavailable):
            await call()
    with pytest.raises(StoreUnavailable):
        await store.coverage.commit(EVERYTHING)

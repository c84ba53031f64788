"""`sightline coverage`: what is seen, what is not, and what to do about it, from the store."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.commands import coverage_tables as tables
from gateway.commands.coverage_present import Stored, read_present
from gateway.commands.options import ConfigOption, JsonOption, run_async, settings_from
from gateway.coverage_config import load_place_kinds
from gateway.domain.camera import ChannelId
from gateway.domain.coverage.figures import CoverageBy, by, headline
from gateway.domain.coverage.place import PlaceId
from gateway.domain.coverage.present import Present
from gateway.domain.coverage.redundancy import redundancy
from gateway.domain.coverage.repair import repair_order
from gateway.domain.coverage.rows import PlaceState
from gateway.domain.coverage.trust import bounds_by
from gateway.errors import UsageError
from gateway.inventory import Inventory
from gateway.opening import open_store
from gateway.ports import Store
from gateway.ports.coverage import BlindSpotQuery
from gateway.reporting import FIRST_YEAR, availability_window, read_availability
from gateway.web.coverage_shapes import (
    IntrusionFilter,
    PlaceFilter,
    availability_item,
    bounded_item,
    bounds_item,
    designed_bounds,
    intrusion_item,
    part_item,
    part_name,
    past_item,
    redundancy_item,
    repair_item,
    survey_item,
    trust_in,
)
from gateway.web.params import LIMIT_MAX, parse_time
from gateway.web.reply import encode
from gateway.web.shapes import Json, headline_item, row

T = TypeVar("T")
coverage = typer.Typer(
    help="What is seen, what is not, and what to do about it (覆盖). Reads the store, as `report` "
    "does: needs no running service; the present is what the service wrote last.",
    no_args_is_help=True,
)
ByOption = Annotated[CoverageBy, typer.Option(help="What a line stands for.")]
LimitOption = Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="Lines, at most.")]


def _read(config: Path | None, work: Callable[[Store], Awaitable[T]]) -> T:
    settings = settings_from(config)

    async def go() -> T:
        async with open_store(settings, create=False) as store:
            return await work(store)

    return run_async(go())


def _present(
    config: Path | None, tell: Callable[[Stored], Json], *, trust: bool = False
) -> tuple[Json, Stored]:
    """An answer about the present, with its `as_of`, and what it was read from."""
    settings = settings_from(config).coverage

    async def work(store: Store) -> tuple[Json, Stored]:
        stored = await read_present(store, datetime.now(UTC), settings)
        if trust:
            present = replace(stored.present, trust=stored.reading.trust())
            stored = replace(stored, present=present)
        return {**tell(stored), "as_of": stored.present.as_of_at}, stored

    return _read(config, work)


def _as_json(told: Json) -> None:
    typer.echo(encode(told).decode())


def _camera_names(inventory: Inventory) -> dict[str, str]:
    return {one.id: one.name for one in inventory.cameras.values()}


def _place_names(present: Present) -> dict[str, str]:
    named = zip(present.state.model.places, present.places.name, strict=True)
    return {place: name or place for place, name in named}


def _kind_names() -> dict[str, str]:
    return {code: kind.zh for code, kind in load_place_kinds().items()}


@coverage.command()
def summary(
    what: Annotated[CoverageBy, typer.Option("--by", help="What a line stands for.")] = (
        CoverageBy.TOWNSHIP
    ),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Weighted share of the listed places, as designed and now, and area by part."""

    def tell(stored: Stored) -> Json:
        p = stored.present
        parts = by(what, p.state, p.places, p.divided, p.designed_m2)
        items = [part_item(stored.inventory, what, part) for part in parts]
        told = {**headline_item(headline(p.state, p.places)), "by": what.value, "parts": items}
        return {**told, "designed_bounds": designed_bounds(p)}

    told, _ = _present(config, tell, trust=True)
    if as_json:
        _as_json(told)
    else:
        tables.summary(told, what, _kind_names())


@coverage.command()
def bounds(
    what: Annotated[CoverageBy, typer.Option("--by", help="What a line stands for.")] = (
        CoverageBy.TOWNSHIP
    ),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lower, expected and upper weight of seen places and covered area, by design."""

    def tell(stored: Stored) -> Json:
        p, found = stored.present, trust_in(stored.present).bounds
        parts = bounds_by(what, found, p.state.model, p.places, p.divided)
        items = [bounded_item(part, part_name(stored.inventory, what, part.code)) for part in parts]
        return {**bounds_item(found), "by": what.value, "items": items}

    told, _ = _present(config, tell, trust=True)
    if as_json:
        _as_json(told)
    else:
        tables.bounds(told, what, _kind_names())


@coverage.command("redundancy")
def show_redundancy(
    limit: LimitOption = 20, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Cameras whose next failure would blind most."""
    told, stored = _present(config, lambda s: redundancy_item(redundancy(s.present.state), limit))
    if as_json:
        _as_json(told)
    else:
        names = _camera_names(stored.inventory), _place_names(stored.present)
        tables.redundancy(told, *names)


@coverage.command("repair-order")
def show_repair_order(
    limit: LimitOption = 20, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Visits (抢修顺序), the one that restores most first."""
    near_m = settings_from(config).coverage.visit_m

    def tell(stored: Stored) -> Json:
        cameras = stored.present.cameras
        visits = repair_order(stored.present.state, cameras.node, near_m, stored.roots)
        return repair_item(visits, cameras.node_name, limit)

    told, stored = _present(config, tell)
    if as_json:
        _as_json(told)
    else:
        names = _camera_names(stored.inventory), _place_names(stored.present)
        tables.repair_order(told, *names)


@coverage.command("survey-order")
def show_survey_order(
    limit: LimitOption = 20, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Cameras whose missing archive fields cost most first (补采顺序)."""

    def tell(stored: Stored) -> Json:
        order = trust_in(stored.present).survey
        items = [
            survey_item(stored.present, order, n, stored.inventory)
            for n in range(min(limit, len(order)))
        ]
        return {"cameras": len(order), "by_field": dict(order.by_field), "items": items}

    told, _ = _present(config, tell, trust=True)
    if as_json:
        _as_json(told)
    else:
        tables.survey_order(told)


@coverage.command("intrusions")
def show_intrusions(
    possible: Annotated[
        bool, typer.Option("--possible", help="Those, too, that only may look in.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Standing cameras that look into prohibited areas; exit code 1 when there is one."""

    def tell(stored: Stored) -> Json:
        p = stored.present
        rows = IntrusionFilter(possible).rows(p, trust_in(p).intrusions)
        items = [intrusion_item(p, one, c, stored.inventory) for one, c in rows]
        return {
            "cameras": len({one.channel for one, _ in rows}),
            "areas": len({one.area for one, _ in rows}),
            "items": items,
        }

    told, _ = _present(config, tell, trust=True)
    if as_json:
        _as_json(told)
    else:
        tables.intrusions(told)
    if told["items"]:
        raise typer.Exit(1)


@coverage.command("blind-spots")
def show_blind_spots(
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    since: Annotated[str, typer.Option(help="ISO 8601 with an offset: what stood after it.")] = "",
    until: Annotated[str, typer.Option(help="What stood before it.")] = "",
    township: Annotated[str, typer.Option(help="Code of a township.")] = "",
    place: Annotated[str, typer.Option(help="Id of a place that it takes.")] = "",
    channel: Annotated[str, typer.Option(help="Id of a camera.")] = "",
    incident: Annotated[str, typer.Option(help="Id of an incident.")] = "",
    limit: LimitOption = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Blind spots (监控盲区), newest first."""
    begin = _time(since, "--since") if since else None
    end = _time(until, "--until") if until else None
    query = BlindSpotQuery(
        begin,
        end,
        not every,
        ChannelId(channel) if channel else None,
        incident or None,
        PlaceId(place) if place else None,
        township or None,
        limit,
    )

    async def work(store: Store) -> tuple[Json, Inventory, dict[str, str]]:
        live = await store.coverage.load()
        found, _ = await store.coverage.blind_spots(query)
        items = [{k: v for k, v in row(one).items() if k != "polygon"} for one in found]
        told = {"open": len(live.blind_spots), "items": items, "as_of": live.as_of_at}
        if as_json:
            return told, Inventory(), {}
        listed = await store.coverage.load_places()
        names = {str(one.id): one.name or one.id for one in listed.places.values()}
        return told, await store.load_inventory(shapes=False), names

    told, inventory, places = _read(config, work)
    if as_json:
        _as_json(told)
    else:
        tables.blind_spots(told, _camera_names(inventory), places)


@coverage.command("places")
def show_places(
    state: Annotated[PlaceState | None, typer.Option(help="Those in this state alone.")] = None,
    township: Annotated[str, typer.Option(help="Those of this township alone.")] = "",
    kind: Annotated[str, typer.Option(help="Those of this kind alone.")] = "",
    gaps: Annotated[
        bool, typer.Option("--gaps", help="Those alone that no view reaches as a whole by design.")
    ] = False,
    first: Annotated[
        int, typer.Option("--from", min=0, help="Go on here: `next` of the page before.")
    ] = 0,
    limit: LimitOption = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Listed places (重点部位) with their state, in the order of the list."""
    wanted = PlaceFilter(state, township or None, kind or None, True if gaps else None)

    def tell(stored: Stored) -> Json:
        items, following = wanted.page(stored.present, first, limit)
        return {"items": items, "next": following}

    told, stored = _present(config, tell)
    if as_json:
        _as_json(told)
    else:
        townships = {str(code): one.name for code, one in stored.inventory.divisions.items()}
        tables.places(told, _kind_names(), townships)


def _time(text: str, name: str) -> datetime:
    try:
        at = parse_time(text)
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} {error}") from None
    if at > datetime.now(UTC):
        raise UsageError(f"{name}: {text} lies ahead")
    if at.year < FIRST_YEAR:
        raise UsageError(f"{name}: {text} lies before any archive")
    return at


@coverage.command("availability")
def show_availability(
    first: Annotated[str, typer.Option("--from", help="ISO 8601 with an offset.")] = "",
    last: Annotated[str, typer.Option("--to", help="Default: now.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Weighted place-hours seen of those due (覆盖可用率), by the weights valid at each time."""
    begin = _time(first, "--from") if first else None
    end = _time(last, "--to") if last else None
    try:
        since, until = availability_window(begin, end, datetime.now(UTC))
    except ValueError as error:
        raise UsageError(f"--from: {error}") from None

    async def work(store: Store) -> Json:
        return availability_item(await read_availability(store, since, until), since, until)

    told = _read(config, work)
    if as_json:
        _as_json(told)
    else:
        tables.availability(told)


@coverage.command("at")
def show_past(
    time: Annotated[str, typer.Argument(help="ISO 8601 with an offset.")],
    limit: LimitOption = 20,
    after: Annotated[
        str, typer.Option(help="Go on after this place: `next` of the page before.")
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The places that were not well seen at a past moment, by the weights and names of then."""
    at = _time(time, "TIME")

    async def work(store: Store) -> Json:
        found = await store.coverage.past(at, limit, after or None)
        return {**past_item(found, at), "next": found.next}

    told = _read(config, work)
    if as_json:
        _as_json(told)
    else:
        tables.past(told)

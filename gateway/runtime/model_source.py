"""Reads archive and places from the store and builds the coverage model, in a process of its own.

Reading and building take seconds of pure computing and some hundred megabytes; the service polls on
meanwhile, and all of that memory is gone when the child ends. The child is told the store on its standard
input and answers in three parts: the model first, what only tables need after it.
"""

import asyncio
import contextlib
import os
import pickle
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import shapely

from gateway.children import command
from gateway.coverage_config import load_optics
from gateway.domain.coverage.build import Scene, make_scene, model_of
from gateway.domain.coverage.figures import PlaceFacts, designed_area
from gateway.domain.coverage.model import CoverageModel, Floats
from gateway.domain.coverage.place import Place, PlaceList, ProhibitedArea
from gateway.domain.coverage.trust import Trust, trust_of
from gateway.errors import Unavailable
from gateway.inventory import Inventory
from gateway.ports import Store
from gateway.settings import CoverageSettings

_HEAD = struct.Struct("!Q")
SHAPES = ("views", "reach", "cells")
CALM_S = 10.0
PARTS = 3
PART_S = 600.0
"""A part of the model that takes longer is given up: imports wait for it."""
NICE = 10
"""Of the child while it makes what nobody waits for."""


@dataclass(frozen=True)
class Built:
    """The model and what is told beside it.

    Attributes:
        import_id: the newest import it contains.
    """

    import_id: str
    model: CoverageModel
    facts: PlaceFacts


Part = Built | Floats | Trust
Source = Callable[[], AsyncIterator[Part]]
"""Yields a `Built`, then the area that views cover in each cell as designed, then a `Trust`."""


@dataclass(frozen=True)
class Reading:
    """A model, and what further parts are made of."""

    built: Built
    scene: Scene
    areas: tuple[ProhibitedArea, ...]

    def designed(self) -> Floats:
        """The area that views cover in each cell as designed: a second or two."""
        return designed_area(self.built.model)

    def trust(self) -> Trust:
        """How far to rely on the model: some seconds."""
        return trust_of(self.scene, self.areas)


async def read(
    store: Store,
    settings: CoverageSettings = CoverageSettings(),  # noqa: B008 - frozen
    inventory: Inventory | None = None,
) -> Reading:
    """Read and build; blocks the loop for seconds.

    Args:
        store: open.
        settings: the edition of the pixel densities.
        inventory: of the store with its shapes, where it is at hand.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    records = await store.imports(1)
    inventory = inventory or await store.load_inventory()
    places = await store.coverage.load_places()
    optics = load_optics(settings.edition)
    scene = make_scene(inventory.cameras.values(), inventory.grids.values(), places, optics)
    model = model_of(scene)
    built = Built(records[0].id if records else "", model, facts_of(model, places, scene.ladder))
    return Reading(built, scene, places.prohibited)


def facts_of(model: CoverageModel, places: PlaceList, ladder: str = "") -> PlaceFacts:
    """What is told of the places of a model."""
    listed = [places.places[place] for place in model.places]
    drafts = sum(not place.accepted for place in places.places.values())
    weight = np.bincount(model.point_place, model.point_weight, len(listed)).tolist()

    def column(name: str) -> tuple[str, ...]:
        return tuple(sys.intern(getattr(place, name)) for place in listed)

    return PlaceFacts(
        column("name"), column("kind"), column("level"), column("township"), column("village"),
        column("grid"), tuple(weight), tuple(_geometry(place) for place in listed), drafts,
        ladder,
    )  # fmt: skip


def _geometry(place: Place) -> bytes:
    return orjson.dumps(dict(place.geometry))


def from_memory(
    store: Store,
    settings: CoverageSettings = CoverageSettings(),  # noqa: B008 - frozen
) -> Source:
    """A source for a store that only this process can reach (small fleets, tests)."""

    async def source() -> AsyncIterator[Part]:
        reading = await read(store, settings)
        yield reading.built
        yield await asyncio.to_thread(reading.designed)
        yield await asyncio.to_thread(reading.trust)

    return source


def from_child(module: str, told: bytes) -> Source:
    """A source that asks a child process.

    Args:
        module: to be run; it calls `answer`.
        told: goes to its standard input: how to open the store.
    """

    async def source() -> AsyncIterator[Part]:
        child = await asyncio.create_subprocess_exec(
            *command(module),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        assert child.stdin is not None  # noqa: S101 - asked for above
        assert child.stdout is not None  # noqa: S101
        try:
            child.stdin.write(told)
            child.stdin.close()
            for _ in range(PARTS):
                part = await _part(child.stdout)
                yield await asyncio.to_thread(unpacked, part)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALM_S):
                    await child.wait()

    return source


async def _part(stream: asyncio.StreamReader) -> bytes:
    try:
        (size,) = _HEAD.unpack(await stream.readexactly(_HEAD.size))
        return await stream.readexactly(size)
    except asyncio.IncompleteReadError:
        raise Unavailable("the coverage model could not be built: see the log") from None


def packed(value: Part) -> bytes:
    """As bytes: shapes as WKB, which one call turns back without holding the interpreter."""
    if isinstance(value, Built):
        changed: dict[str, Any] = {
            name: shapely.to_wkb(getattr(value.model, name)) for name in SHAPES
        }
        value = replace(value, model=replace(value.model, **changed))
    return pickle.dumps(value, protocol=5)


def unpacked(part: bytes) -> Part:
    """The value that `packed` was given."""
    value: Part = pickle.loads(part)  # noqa: S301 - our own child wrote it
    if not isinstance(value, Built):
        return value
    shapes: dict[str, Any] = {name: shapely.from_wkb(getattr(value.model, name)) for name in SHAPES}
    return replace(value, model=replace(value.model, **shapes))


def answer(reading: Reading) -> None:
    """In the child: write all parts to the standard output."""
    _write(reading.built)
    _write(reading.designed())
    os.nice(NICE)
    _write(reading.trust())


def _write(value: Part) -> None:
    part = packed(value)
    sys.stdout.buffer.write(_HEAD.pack(len(part)) + part)
    sys.stdout.buffer.flush()


async def next_part(parts: AsyncIterator[Part]) -> Part:
    """The next part of a model.

    Raises:
        Unavailable: it does not come.
    """
    try:
        async with asyncio.timeout(PART_S):
            return await anext(parts)
    except TimeoutError:
        raise Unavailable(f"a part of the model took more than {PART_S:g} s") from None
    except StopAsyncIteration:
        raise Unavailable("a part of the model is missing") from None


async def end_parts(parts: AsyncIterator[Part]) -> None:
    """Give up what is still to come."""
    closing: Callable[[], Awaitable[None]] | None = getattr(parts, "aclose", None)
    if closing is not None:
        await closing()

"""A fleet must stay small in memory: what is loaded, and what a start loads beside it."""

import asyncio
import gc
import tracemalloc
from datetime import UTC, datetime

import pytest
from bench.memory import measure

from adapters.postgres.store import PostgresStore
from adapters.virtual.fleet import build_district
from gateway.domain.archive import ImportRecord
from gateway.domain.packed import PackedText
from gateway.inventory import Inventory

PORTS = {"port": 20001, "tls_port": 20002, "killable_port": 20003, "canary_port": 20004}
BYTES_A_CAMERA = 2_500


def fleet(cameras: int) -> Inventory:
    """Cameras, devices, nodes and divisions of a virtual district, with all their fields."""
    district = build_district(1, cameras, **PORTS)
    return Inventory.of(
        [camera for device in district.devices for camera in device.channels],
        [device.device for device in district.devices],
        district.nodes,
        district.divisions,
    )


async def test_a_loaded_camera_takes_less_than_two_and_a_half_kilobytes(
    postgres: PostgresStore,
) -> None:
    saved = await asyncio.to_thread(fleet, 3_000)
    await postgres.save_import(ImportRecord("i", datetime.now(UTC), "test", (), ()), saved)
    await postgres.load_inventory(shapes=False)  # what is made once is made now
    gc.collect()
    tracemalloc.start()
    loaded = await postgres.load_inventory(shapes=False)
    gc.collect()
    taken, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert loaded == saved
    assert len(next(iter(loaded.cameras.values())).archive) > 20
    assert taken / len(loaded.cameras) < BYTES_A_CAMERA
    assert peak < 2 * taken, "never everything twice"


async def test_equal_text_of_many_cameras_is_one_object(postgres: PostgresStore) -> None:
    saved = await asyncio.to_thread(fleet, 200)
    await postgres.save_import(ImportRecord("i", datetime.now(UTC), "test", (), ()), saved)
    loaded = await postgres.load_inventory()
    for name in ("township", "manufacturer", "maintainer", "carrier"):
        texts = [getattr(camera, name) for camera in loaded.cameras.values()]
        assert len({id(text) for text in texts}) == len(set(texts)), name
    for camera in loaded.cameras.values():
        assert camera.device is loaded.devices[camera.device].id
        assert isinstance(camera.archive, PackedText)


@pytest.mark.slow
def test_a_start_loads_no_library_that_it_does_not_need() -> None:
    result = measure(100)
    assert result["heavy_imports"] == []
    # The archive is loaded twice when an import came since the service last watched.
    assert list(dict.fromkeys(row["phase"] for row in result["phases"]))[2:6] == [
        "store open",
        "load_inventory",
        "load_live",
        "pipeline",
    ]
    assert 30 < result["peak_mb"] < 120
    assert result["report"]["good_h"] == pytest.approx(100 * 24, rel=0.01)

"""GDAL's own client reads every feature of every layer, in pages, and its filters reach the service."""

from datetime import datetime

import pytest
import shapely
from fakes.ogc_service import LAYERS, OUTAGES, every, expected, filled, gdal, stored
from fakes.web_service import channel

from gateway.web.ogc.asked import Asked
from gateway.web.params import Params


async def test_gdal_reads_every_feature_of_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spied(monkeypatch)
    async with filled() as one:
        read = await gdal(one, *({"layer": layer, "PAGE_SIZE": 20} for layer in LAYERS))
        assert read["layers"] == LAYERS
        for layer, found in zip(LAYERS, read["found"], strict=True):
            source = expected(one)[layer]
            assert found["crs"] == "EPSG:4326"
            assert [row["id"] for row in found["rows"]] == list(source)
            shapes = [None if g is None else shapely.from_wkb(g) for g in found["geometry"]]
            for here, there in zip(shapes, source.values(), strict=True):
                assert (here is None) == (there is None)
                assert here is None or here.normalize().equals_exact(there.normalize(), 2e-7)
            pages = [q for name, q in asked if name == layer and "cursor" in q]
            assert len(pages) >= len(source) // 20 - (len(source) % 20 == 0), layer
            features = await every(one, layer)
            for row, feature in zip(found["rows"], features, strict=True):
                for name, value in feature["properties"].items():
                    if value is not None and not name.endswith(("_at", "as_of")):
                        assert row[name] == value, (layer, name)


def spied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """Layer and parameters of every request for features."""
    seen: list[tuple[str, dict[str, str]]] = []
    real = Asked.of

    def of(params: Params) -> Asked:
        seen.append((params.request.path.split("/")[3], params.given))
        return real(params)

    monkeypatch.setattr(Asked, "of", of)
    return seen


async def test_gdal_pushes_its_filters_and_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spied(monkeypatch)
    async with filled() as one:
        rows = await stored(one)
        early, late = rows[40].failed_at, rows[20].failed_at
        read = await gdal(
            one,
            {"layer": "cameras", "bbox": [109.70001, 38.1, 109.70003, 38.3]},
            {"layer": "blind-spots", "bbox": [109.7049, 38.2049, 109.7101, 38.21]},
            {"layer": "outages", "where": f"failed_at >= '{gdal_time(late)}'"},
            {"layer": "outages", "where": f"failed_at <= '{gdal_time(early)}'"},
            {"layer": "outages", "where": f"failed_at = '{gdal_time(early)}'"},
            {
                "layer": "outages",
                "where": f"failed_at >= '{gdal_time(early)}' AND failed_at <= '{gdal_time(late)}'",
            },
        )
        ids = [[row["id"] for row in found["rows"]] for found in read["found"]]
        assert ids[0] == [channel(n) for n in range(10, 31)]
        assert ids[1] == ["b-o001"]  # the corner of b-o000 that its bounds hold is empty
        assert [len(found) for found in ids[2:]] == [21, OUTAGES - 40, 1, 21]
        assert ids[5] == [row.id for row in rows[20:41]]
        boxes = [q["bbox"] for _, q in asked if "bbox" in q]
        assert len(boxes) >= 2
        windows = {q["datetime"].replace("..", "") for _, q in asked if "datetime" in q}
        first, last = (at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (early, late))
        assert windows == {f"{last}/", f"/{first}", first, f"{first}/{last}"}


def gdal_time(at: datetime) -> str:
    """As GDAL has it: milliseconds, the rest cut off."""
    return at.strftime("%Y/%m/%d %H:%M:%S") + f".{at.microsecond // 1000:03d}+00"

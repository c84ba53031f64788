"""The shapes of documents of 17-069r4 (OGC API - Features), as far as JSON Schema can tell them."""

from typing import Any

from gateway.web.ogc.catalogue import CRS84

Many = dict[str, Any]
LINK: Many = {
    "type": "object",
    "required": ["href", "rel", "type"],
    "properties": {
        "href": {"type": "string", "pattern": "^https?://"},
        "rel": {"type": "string"},
        "type": {"type": "string"},
    },
}
LINKS: Many = {"type": "array", "items": LINK, "minItems": 1}
LANDING: Many = {"type": "object", "required": ["links"], "properties": {"links": LINKS}}
COLLECTION: Many = {
    "type": "object",
    "required": ["id", "links"],
    "properties": {
        "id": {"type": "string"},
        "title": {"type": "string"},
        "links": LINKS,
        "itemType": {"const": "feature"},
        "crs": {"type": "array", "items": {"type": "string"}, "contains": {"const": CRS84}},
        "extent": {
            "properties": {
                "spatial": {
                    "required": ["bbox"],
                    "properties": {
                        "crs": {"const": CRS84},
                        "bbox": {
                            "minItems": 1,
                            "items": {
                                "type": "array", "items": {"type": "number"},
                                "minItems": 4, "maxItems": 4,
                            },
                        },
                    },
                },
                "temporal": {
                    "required": ["interval"],
                    "properties": {
                        "interval": {
                            "minItems": 1,
                            "items": {
                                "type": "array", "items": {"type": ["string", "null"]},
                                "minItems": 2, "maxItems": 2,
                            },
                        }
                    },
                },
            }
        },
    },
}  # fmt: skip
GEOMETRY: Many = {
    "oneOf": [
        {"type": "null"},
        {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"enum": ["Point", "LineString", "Polygon", "MultiPolygon"]},
                "coordinates": {"type": "array"},
            },
        },
    ]
}
FEATURE: Many = {
    "type": "object",
    "required": ["type", "id", "geometry", "properties"],
    "properties": {
        "type": {"const": "Feature"},
        "id": {"type": ["string", "integer"]},
        "geometry": GEOMETRY,
        "properties": {"type": "object"},
        "links": LINKS,
    },
}
FEATURES: Many = {
    "type": "object",
    "required": ["type", "features", "links", "timeStamp", "numberReturned"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {"type": "array", "items": FEATURE},
        "links": LINKS,
        "timeStamp": {"type": "string", "pattern": "^[0-9-]+T[0-9:.]+Z$"},
        "numberReturned": {"type": "integer", "minimum": 0},
        "numberMatched": {"type": "integer", "minimum": 0},
    },
    "x-ours": "#/components/schemas/OgcFeatures",
}

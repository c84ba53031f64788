"""The part of the interface document that is about `/ogc`, as OpenAPI 3.0.

The whole document is 3.1. What stands below `/ogc` there keeps to what both versions know, so that only
the frame differs; a test validates the result as 3.0.
"""

import re
from typing import Any

import orjson

VERSION = "3.0.3"
MEDIA_TYPE = "application/vnd.oai.openapi+json;version=3.0"
PREFIX = "/ogc"
_REF = re.compile(rb'"\$ref":"#/components/([^/"]+)/([^"]+)"')


def describe(document: bytes) -> dict[str, Any]:
    """The document of the routes below `/ogc`, with the components they need and no others."""
    whole: dict[str, Any] = orjson.loads(document)
    paths = {path: told for path, told in whole["paths"].items() if _is_ours(path)}
    schemes = {"securitySchemes": whole["components"]["securitySchemes"]}
    return {
        "openapi": VERSION,
        "info": {
            "title": "Sightline: OGC API - Features",
            "version": whole["info"]["version"],
            "description": "Cameras, outages, blind spots and coverage of one district, for GIS.",
            "license": {"name": whole["info"]["license"]["name"]},
        },
        "security": whole["security"],
        "tags": [{"name": "ogc"}],
        "paths": paths,
        "components": {**schemes, **_needed(whole["components"], paths)},
    }


def _is_ours(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def _needed(components: dict[str, Any], paths: dict[str, Any]) -> dict[str, Any]:
    """Every component that the paths refer to, directly or through others."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [paths]
    while waiting:
        for kind, name in _REF.findall(orjson.dumps(waiting.pop())):
            held = found.setdefault(kind.decode(), {})
            if name.decode() not in held:
                held[name.decode()] = components[kind.decode()][name.decode()]
                waiting.append(held[name.decode()])
    return found

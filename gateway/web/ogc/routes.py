"""The routes of OGC API - Features (17-069r4) below `/ogc`.

Addresses in documents are absolute: not every client takes others. Candidate sites have routes of their own,
because another role reads them; no route serves a collection of another access than it declares.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from aiohttp import web

from gateway.web import problems
from gateway.web.access import Access, Route, declared_access
from gateway.web.auth import CONTEXT
from gateway.web.ogc.asked import FILTERS, Asked, Format
from gateway.web.ogc.catalogue import (
    BY_ID,
    COLLECTIONS,
    CRS84,
    SOURCES,
    Collection,
    is_there,
    sources,
)
from gateway.web.ogc.description import MEDIA_TYPE as OPENAPI
from gateway.web.ogc.description import describe
from gateway.web.ogc.source import Found, Source
from gateway.web.params import Params, is_plain
from gateway.web.people import is_https
from gateway.web.problems import Problem
from gateway.web.reply import encode, entity_tag, iso, send
from gateway.web.shapes import Json

JSON, GEOJSON = "application/json", "application/geo+json"
CONFORMS_TO = tuple(
    f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}"
    for name in ("core", "oas30", "geojson")
)
PLANNERS = "candidates"
DESCRIPTION: web.AppKey[Mapping[str, Any]] = web.AppKey("ogc_description")
_HOST = re.compile(r"[A-Za-z0-9._\-\[\]:]{1,255}")


def base(request: web.Request) -> str:
    """Scheme and host as the client named them, or "" (then addresses are relative)."""
    scheme = "https" if is_https(request) else "http"
    return f"{scheme}://{request.host}" if _HOST.fullmatch(request.host) else ""


def link(href: str, rel: str, media_type: str = JSON, title: str | None = None) -> Json:
    """One link of a document."""
    told = {"href": href, "rel": rel, "type": media_type}
    return told if title is None else {**told, "title": title}


def only_format(request: web.Request) -> None:
    """Take `f=json` and nothing else.

    Raises:
        Problem: bad-parameters.
    """
    params = Params(request, {"f"})
    params.choice("f", Format)
    params.check()


async def get_landing(request: web.Request) -> web.Response:
    """GET /ogc."""
    only_format(request)
    root = f"{base(request)}/ogc"
    content = {
        "title": "Sightline 视频监控与盲区",
        "description": "Cameras, outages, blind spots and coverage of one district as GIS layers.",
        "links": [
            link(root, "self", title="this document"),
            link(f"{root}/api", "service-desc", OPENAPI, "the interface"),
            link(f"{root}/conformance", "conformance", title="what it conforms to"),
            link(f"{root}/collections", "data", title="the layers"),
        ],
    }
    return await send(request, encode(content))


async def get_conformance(request: web.Request) -> web.Response:
    """GET /ogc/conformance."""
    only_format(request)
    return await send(request, encode({"conformsTo": CONFORMS_TO}))


async def get_description(request: web.Request) -> web.Response:
    """GET /ogc/api: OpenAPI 3.0."""
    only_format(request)
    told = request.app[DESCRIPTION]
    content = {**told, "servers": [{"url": base(request) or "/"}]}
    return await send(request, encode(content), content_type=OPENAPI)


def find(request: web.Request) -> tuple[Collection, Source]:
    """The collection named in the path.

    Raises:
        Problem: not-found, switched-off.
    """
    name = request.match_info.get("collection", PLANNERS)
    collection = BY_ID.get(name)
    if collection is None or collection.access is not declared_access(request):
        raise Problem(problems.NOT_FOUND, "no collection has this id; /ogc/collections lists them")
    if not is_there(request, collection):
        raise Problem(problems.SWITCHED_OFF, "coverage.enabled is false")
    return collection, request.app[SOURCES][name]


async def describe_collection(request: web.Request, collection: Collection) -> Json:
    """What `/ogc/collections/{collection}` says."""
    address = f"{base(request)}/ogc/collections/{collection.id}"
    extent: Json = {}
    around = await request.app[SOURCES][collection.id].extent(request)
    if around is not None:
        extent["spatial"] = {"bbox": [around], "crs": CRS84}
    if collection.timed:
        extent["temporal"] = {"interval": [[None, None]]}
    return {
        "id": collection.id,
        "title": collection.title,
        "description": collection.description,
        **({"extent": extent} if extent else {}),
        "itemType": "feature",
        "crs": [CRS84],
        "links": [
            link(address, "self"),
            link(f"{address}/items", "items", GEOJSON, collection.title),
        ],
    }


async def list_collections(request: web.Request) -> web.Response:
    """GET /ogc/collections: those that this caller may read."""
    only_format(request)
    shown = [one for one in COLLECTIONS if is_there(request, one)]
    content = {
        "links": [link(f"{base(request)}/ogc/collections", "self")],
        "collections": [await describe_collection(request, one) for one in shown],
    }
    return await send(request, encode(content))


async def get_collection(request: web.Request) -> web.Response:
    """GET /ogc/collections/{collection}."""
    only_format(request)
    collection, _ = find(request)
    return await send(request, encode(await describe_collection(request, collection)))


async def list_items(request: web.Request) -> web.Response:
    """GET /ogc/collections/{collection}/items: a page of features."""
    params = Params(request, FILTERS)
    asked = Asked.of(params)
    params.check()
    collection, source = find(request)
    after = params.cursor(source.cursor)
    try:
        found = await source.page(request, asked, after)
    except ValueError:  # a time in a forged key
        raise Problem(problems.BAD_CURSOR) from None
    return await send_features(request, collection, params, found)


async def send_features(
    request: web.Request, collection: Collection, params: Params, found: Found
) -> web.Response:
    """A FeatureCollection. The entity tag leaves `timeStamp` out."""
    context, root = request.app[CONTEXT], base(request)
    links: list[Json] = [link(f"{root}{request.path_qs}", "self", GEOJSON)]
    headers = {}
    following = params.next_url(found.next)
    if following is not None:
        links.append(link(f"{root}{following}", "next", GEOJSON))
        headers["Link"] = f'<{root}{following}>; rel="next"; type="{GEOJSON}"'
    links.append(link(f"{root}/ogc/collections/{collection.id}", "collection"))
    told: Json = {"numberReturned": len(found.features), "links": links}
    if found.matched is not None:
        told["numberMatched"] = found.matched
    features = b'{"type":"FeatureCollection","features":[' + b",".join(found.features) + b"],"
    body = features + encode(told)[1:]
    stamp = encode({"timeStamp": iso(context.clock.utc(context.clock.now()))})
    return await send(
        request,
        body[:-1] + b"," + stamp[1:],
        content_type=GEOJSON,
        tag=entity_tag(body),
        headers=headers,
    )


async def get_item(request: web.Request) -> web.Response:
    """GET /ogc/collections/{collection}/items/{feature}."""
    only_format(request)
    collection, source = find(request)
    feature = request.match_info["feature"]
    found = await source.one(request, feature) if is_plain(feature) else None
    if found is None:
        raise Problem(problems.NOT_FOUND, "no feature of this collection has this id")
    address = f"{base(request)}/ogc/collections/{collection.id}"
    links = {
        "links": [
            link(f"{address}/items/{quote(feature, safe='')}", "self", GEOJSON),
            link(address, "collection"),
        ]
    }
    return await send(request, found[:-1] + b"," + encode(links)[1:], content_type=GEOJSON)


def prepare(app: web.Application, document: bytes) -> None:
    """Give an application what the routes need; `document` is the whole interface document."""
    app[SOURCES] = sources()
    app[DESCRIPTION] = describe(document)


def _reading(collection: str, access: Access) -> Sequence[Route]:
    path = f"/ogc/collections/{collection}"
    return (
        Route("GET", path, get_collection, access),
        Route("GET", f"{path}/items", list_items, access),
        Route("GET", f"{path}/items/{{feature}}", get_item, access),
    )


ROUTES: tuple[Route, ...] = (
    Route("GET", "/ogc", get_landing, Access.OPEN),
    Route("GET", "/ogc/", get_landing, Access.OPEN, documented=False),  # people type it so
    Route("GET", "/ogc/conformance", get_conformance, Access.OPEN),
    Route("GET", "/ogc/api", get_description, Access.OPEN),
    Route("GET", "/ogc/collections", list_collections, Access.READ),
    *_reading("{collection}", Access.READ),
    *_reading(PLANNERS, Access.PLAN),
)
"""Interface documents are open like `/api/v1/openapi.json`: they hold nothing of the district."""

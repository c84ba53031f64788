"""Who may do what, and what is written down about it."""

import re
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fakes.web_service import WebService, channel, district, running

from gateway.domain.ledger import Incident
from gateway.domain.observation import OutageCause
from gateway.errors import Refused, Unavailable, UsageError
from gateway.ports import Role
from gateway.web.access import DECLARED, ROLES, Access, Route, register, verify
from gateway.web.app import INTERFACE, build
from gateway.web.tokens import mint

READERS = {Role.VIEWER, Role.OPERATOR, Role.PLANNER, Role.CENTER, Role.ADMIN}
TABLE: dict[Access, set[Role]] = {
    Access.OPEN: set(Role),
    Access.SIGNED_IN: set(Role),
    Access.READ: READERS,
    Access.OPERATE: {Role.OPERATOR, Role.ADMIN},
    Access.PLAN: {Role.PLANNER, Role.ADMIN},
    Access.CENTER: {Role.CENTER, Role.OPERATOR, Role.ADMIN},
    Access.SIGNED: set(),
    Access.DEVICE: set(),
    Access.AUDIT: {Role.AUDITOR, Role.ADMIN},
}


def test_the_table_of_roles_is_the_one_that_was_decided() -> None:
    assert {access: set(roles) for access, roles in ROLES.items()} == TABLE


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def test_a_route_without_a_role_keeps_the_service_from_starting() -> None:
    async with running(district(1)) as service:
        with pytest.raises(UsageError, match="GET /ogc/x: declares no role"):
            build(service.context(), more=[Route("GET", "/ogc/x", hello)])


async def test_a_route_added_behind_our_back_is_found() -> None:
    app = web.Application()
    register(app, [Route("GET", "/a", hello, Access.READ)])
    verify(app)
    app.router.add_get("/b", hello)
    with pytest.raises(UsageError, match="/b: declares no role"):
        verify(app)


async def test_a_route_that_lost_its_role_later_is_refused() -> None:
    async with running(district(1)) as service:
        app = build(service.context(), more=[Route("GET", "/late", hello, Access.OPEN)])
        del app[DECLARED][("GET", "/late")]
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/late"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 403
        await runner.cleanup()


# A stream answers for ever, and no token opens what is signed: both are tested with their own tests.
GUARDED = [
    r
    for r in INTERFACE
    if r.access not in {Access.OPEN, Access.SIGNED} and not r.path.endswith("/stream")
]


async def test_each_route_lets_in_the_roles_of_the_table_and_nobody_else() -> None:
    async with running(district(3), device_metrics=True, check_rate=1000) as service:
        for route in GUARDED:
            path = re.sub(r"\{\w+\}", channel(1), route.path)
            assert route.access is not None
            status, problem, _ = await service.call(route.method, path, role=None)
            assert (status, problem["type"]) in {
                (401, "urn:sightline:problem:no-token"),
                (403, "urn:sightline:problem:cross-site"),
            }
            for role in Role:
                status, body, _ = await service.call(route.method, path, role)
                refused = status == 403 and body["type"] == "urn:sightline:problem:wrong-role"
                assert refused != (role in TABLE[route.access]), (route.path, role, status)


async def test_a_wrong_token_is_a_401_that_says_how_to_sign_in() -> None:
    async with running(district(1)) as service:
        for bad in ("nonsense", "slt_" + "x" * 43, "ü", "x" * 5000):
            headers = {"Authorization": f"Bearer {bad}"}
            status, problem, response = await service.call(
                "GET", "/api/v1/me", None, headers=headers
            )
            assert status == 401
            assert response.headers["WWW-Authenticate"].startswith('Bearer realm="sightline"')
            assert "token create" in problem["detail"]


async def test_revoked_and_expired_tokens_are_refused() -> None:
    async with running(district(1)) as service:
        secret, row = mint("short", Role.VIEWER, service.now(), service.now() + timedelta(hours=1))
        await service.store.save_token(row)
        service.clock.ahead_s += 2  # a token made a moment ago is found by asking again
        headers = {"Authorization": f"Bearer {secret}"}
        assert (await service.call("GET", "/api/v1/me", None, headers=headers))[0] == 200
        service.clock.ahead_s += 3601
        status, problem, _ = await service.call("GET", "/api/v1/me", None, headers=headers)
        assert (status, problem["type"]) == (401, "urn:sightline:problem:bad-token")

        viewer = await service.store.tokens()
        token = next(t for t in viewer if t.role is Role.VIEWER and t.id != row.id)
        assert (await service.call("GET", "/api/v1/me", Role.VIEWER))[0] == 200
        from dataclasses import replace

        await service.store.save_token(replace(token, revoked_at=service.now()))
        service.clock.ahead_s += 6
        assert (await service.call("GET", "/api/v1/me", Role.VIEWER))[0] == 401


async def test_known_tokens_go_on_counting_while_the_store_is_away() -> None:
    async with running(district(1)) as service:
        await service.get("/api/v1/summary", Role.VIEWER)
        service.store.is_away = True
        service.clock.ahead_s += 60
        await service.get("/api/v1/summary", Role.VIEWER)
        service.clock.ahead_s += 2 * 86_400
        assert (await service.call("GET", "/api/v1/summary", Role.VIEWER))[0] == 401


async def test_before_the_tokens_were_ever_read_nobody_is_let_in() -> None:
    async with running(district(1)) as service:
        service.store.is_away = True
        status, problem, response = await service.call("GET", "/api/v1/summary")
        assert (status, problem["type"]) == (503, "urn:sightline:problem:store-unavailable")
        assert response.headers["Retry-After"] == "5"
        service.store.is_away = False
        service.clock.ahead_s += 2
        assert (await service.call("GET", "/api/v1/summary"))[0] == 200


async def sign_in(service: WebService, role: Role) -> aiohttp.ClientSession:
    """A browser with a session cookie."""
    browser = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
    body = {"token": service.tokens[role]}
    headers = {"X-Sightline": "1"}
    async with browser.post(service.url + "/api/v1/session", json=body, headers=headers) as r:
        assert r.status == 201
        assert (await r.json())["role"] == role
        cookie = r.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert r.headers["Cache-Control"] == "no-store"
    return browser


async def test_a_browser_signs_in_reads_acts_and_signs_out() -> None:
    async with running(district(3)) as service:
        browser = await sign_in(service, Role.OPERATOR)
        async with browser:
            async with browser.get(service.url + "/api/v1/me") as r:
                assert (await r.json())["may"] == ["open", "signed_in", "read", "operate", "center"]
            check = service.url + f"/api/v1/cameras/{channel(1)}/check"
            async with browser.post(check) as r:
                assert r.status == 403
                assert (await r.json())["type"] == "urn:sightline:problem:cross-site"
            async with browser.post(check, headers={"X-Sightline": "1"}) as r:
                assert r.status == 200
            session = service.url + "/api/v1/session"
            async with browser.delete(session) as r:
                assert r.status == 403
            async with browser.delete(session, headers={"X-Sightline": "1"}) as r:
                assert r.status == 204
            async with browser.get(service.url + "/api/v1/me") as r:
                assert r.status == 401
        assert service.checked == [channel(1)]
        entries = await service.store.audit()
        assert [e.action for e in entries] == ["session.delete", "camera.check", "session.create"]


async def test_the_cookie_is_secure_behind_a_tls_proxy() -> None:
    async with running(district(1)) as service:
        headers = {"X-Sightline": "1", "X-Forwarded-Proto": "https"}
        body = {"token": service.tokens[Role.VIEWER]}
        _, _, r = await service.call("POST", "/api/v1/session", None, json=body, headers=headers)
        assert "Secure" in r.headers["Set-Cookie"]


@pytest.mark.parametrize("body", [{"token": "slt_wrong"}, {"token": "wrong"}])
async def test_a_session_needs_a_valid_token(body: dict[str, str]) -> None:
    async with running(district(1)) as service:
        headers = {"X-Sightline": "1"}
        status, _, r = await service.call(
            "POST", "/api/v1/session", None, json=body, headers=headers
        )
        assert status == 401
        assert "Set-Cookie" not in r.headers
        assert not await service.store.audit()


async def test_signing_out_without_a_session_is_no_error() -> None:
    async with running(district(1)) as service:
        headers = {"X-Sightline": "1"}
        assert (await service.call("DELETE", "/api/v1/session", None, headers=headers))[0] == 204


async def with_incident(service: WebService) -> None:
    now = service.now()
    row: Incident[Any] = Incident("i1", channel(1), OutageCause.REFUSED, now, now, now)
    await service.change(incidents=(row,))


async def test_every_change_is_in_the_audit_log_with_who_what_and_from_where() -> None:
    async with running(district(3)) as service:
        await with_incident(service)
        until = (service.now() + timedelta(hours=2)).isoformat()
        ack = {"text": "已派人", "until": until}
        await service.call("POST", "/api/v1/incidents/i1/acknowledge", Role.OPERATOR, json=ack)
        await service.call(
            "POST", "/api/v1/incidents/i1/notes", Role.OPERATOR, json={"text": "到场"}
        )
        await service.call("POST", f"/api/v1/cameras/{channel(1)}/check", Role.OPERATOR)
        await service.call("GET", f"/probe?target={channel(1)}", Role.OPERATOR)
        body = await service.get("/api/v1/audit", Role.AUDITOR)
        shown = [(e["action"], e["target"], e["result"]) for e in body["items"]]
        assert shown == [
            ("camera.probe", channel(1), "accepted"),
            ("camera.check", channel(1), "accepted"),
            ("incident.note", "i1", "accepted"),
            ("incident.acknowledge", "i1", "accepted"),
        ]
        assert {e["address"] for e in body["items"]} == {"127.0.0.1"}
        assert {e["role"] for e in body["items"]} == {"operator"}
        assert all(e["actor"].startswith("operator token (") for e in body["items"])


@pytest.mark.parametrize(
    ("trouble", "status", "kind"),
    [(Refused("not polled"), 409, "refused"), (Unavailable("poller is full"), 503, "unavailable")],
)
async def test_a_check_that_fails_says_why_and_leaves_a_second_line(
    trouble: Exception, status: int, kind: str
) -> None:
    async with running(district(3)) as service:
        service.trouble = trouble
        got, problem, _ = await service.call("POST", f"/api/v1/cameras/{channel(1)}/check")
        assert (got, problem["type"]) == (status, f"urn:sightline:problem:{kind}")
        assert problem["detail"] == str(trouble)
        entries = await service.store.audit()
        assert [e.result for e in entries] == ["failed", "accepted"]


async def test_what_cannot_be_audited_is_not_done() -> None:
    async with running(district(3)) as service:
        await service.get("/api/v1/me")
        service.store.is_away = True
        status, _, _ = await service.call("POST", f"/api/v1/cameras/{channel(1)}/check")
        assert status == 503
        assert service.checked == []


async def test_checks_are_limited_for_each_token() -> None:
    async with running(district(3), check_rate=2) as service:
        path = f"/api/v1/cameras/{channel(1)}/check"
        assert [(await service.call("POST", path))[0] for _ in range(2)] == [200, 200]
        status, problem, response = await service.call("POST", path)
        assert (status, problem["type"]) == (429, "urn:sightline:problem:too-many-requests")
        assert response.headers["Retry-After"] == "30"
        assert (await service.call("POST", path, Role.OPERATOR))[0] == 200
        assert (await service.call("GET", f"/probe?target={channel(1)}"))[0] == 429
        service.clock.ahead_s += 31
        assert (await service.call("POST", path))[0] == 200
        assert len(await service.store.audit()) == 4


async def test_the_audit_log_is_read_page_by_page() -> None:
    async with running(district(3)) as service:
        for _ in range(5):
            await service.call("POST", f"/api/v1/cameras/{channel(1)}/check")
        ids: list[int] = []
        path: str | None = "/api/v1/audit?limit=2"
        while path:
            page = await service.get(path, Role.AUDITOR)
            ids += [entry["id"] for entry in page["items"]]
            path = page["next"]
        assert ids == [5, 4, 3, 2, 1]

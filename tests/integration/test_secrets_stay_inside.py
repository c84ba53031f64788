"""Passwords of cameras come in once and never out: the whole service, searched for two of them.

One credential set of a small district holds the right password, the other a wrong one. The service runs
with everything logged; then whatever it said, answered, wrote or refused is searched.
"""

import base64
import csv
import json
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes.district import SIGHTLINE, District, until
from fakes.postgres import state_dir
from fakes.service import Service

WRONG = "Kanarienvogel-4711-wrong"
DSN_SECRET = "Kanarienvogel-4711-dsn"
CENTER_SECRET = "whsec_S2FuYXJpZW52b2dlbC00NzExLWNlbnRlci1zZWNyZXQ="
CAMERAS = 60
PAGES = (
    "/livez", "/readyz", "/metrics", "/metrics/devices", "/api/v1/openapi.json", "/api/v1/cameras",
    "/api/v1/outages", "/api/v1/faults", "/api/v1/incidents", "/api/v1/gateway-gaps",
    "/api/v1/stats", "/api/v1/summary", "/api/v1/wall", "/api/v1/online-rate.csv", "/api/v1/me",
    "/api/v1/audit", "/api/v1/imports",
)  # fmt: skip
COMMANDS = (
    ("config", "show", "--json"), ("keys", "list", "--json"), ("audit", "--json"),
    ("token", "list", "--json"), ("report", "--json"), ("doctor", "--json"),
)  # fmt: skip


@dataclass
class Watched:
    """A service at work, what it may never say, and everything it said."""

    service: Service
    wrong: str
    right: str
    secrets: tuple[str, ...]
    said: dict[str, bytes] = field(default_factory=dict)

    def needles(self) -> dict[str, bytes]:
        """The secrets as they are, and as they would stand in a header, a body or a dump."""
        found = {}
        for secret in self.secrets:
            raw = secret.encode()
            found[f"{secret[:4]}… as text"] = raw
            found[f"{secret[:4]}… in hex"] = raw.hex().encode()
            for shift in range(3):
                # Inside a longer text base64 depends on where the secret begins; its middle stays.
                code = base64.b64encode(b"\0" * shift + raw)
                found[f"{secret[:4]}… in base64 at {shift}"] = code[4 if shift else 0 : -4]
        return found

    def leaks(self) -> list[str]:
        """Which secret stands where."""
        return [
            f"{needle} in {place}"
            for place, content in self.said.items()
            for needle, code in self.needles().items()
            if code in content
        ]


def with_two_sets(archive: dict[str, str], folder: Path) -> tuple[Path, Path, str]:
    """The archive with every second camera in a set of its own, whose password is wrong."""
    with Path(archive["cameras"]).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[::2]:
        row["credential_set"] = "canary"
    cameras = folder / "cameras.csv"
    with cameras.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    with Path(archive["credentials"]).open(encoding="utf-8-sig", newline="") as file:
        (login,) = csv.DictReader(file)
    logins = folder / "logins.csv"
    with logins.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, login.keys())
        writer.writeheader()
        writer.writerows([login, {**login, "name": "canary", "password": WRONG}])
    return cameras, logins, login["password"]


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with state_dir() as folder, District(folder, CAMERAS, 3, 0.3) as district:
        archive = district.ready["archive"]
        cameras, logins, right = with_two_sets(archive, folder)
        sections = {
            "network": {"virtual": True, "canaries": district.ready["canaries"]},
            "poll": {"cadence_s": 3.0, "check_s": 1.5, "connect_s": 0.5, "signed_every_s": 10.0},
            "web": {"device_metrics": True},
            "log": {"level": "debug", "format": "json"},
        }
        secret_file = folder / "center.secret"
        secret_file.write_text(CENTER_SECRET, encoding="ascii")
        sections["center"] = {  # nobody listens there: every delivery fails and is logged
            "url": "http://127.0.0.1:9/alerts",
            "secret_file": str(secret_file),
            "heartbeat_s": 0.5,
        }
        service = Service(folder, sections)
        places = [archive[name] for name in ("divisions", "nodes", "grids")]
        arguments = (*places, str(cameras), "--credentials", str(logins), "--yes")
        service.sightline("import", *arguments)
        made = service.sightline("token", "create", "t", "--role", "admin", "--json")
        service.token = json.loads(made)["token"]
        with cameras.open(encoding="utf-8", newline="") as file:
            ids = [row["device_id"] for row in csv.DictReader(file)]
        service.start()
        try:
            service.until_ready()
            until("logins were refused", 30.0, lambda: service.get("/api/v1/faults")["items"])
            yield gathered(
                Watched(
                    service,
                    ids[0],
                    ids[1],
                    (WRONG, right, DSN_SECRET, CENTER_SECRET.removeprefix("whsec_")),
                ),
                folder,
            )
        finally:
            service.close()


def gathered(found: Watched, folder: Path) -> Watched:
    """Make it say everything."""
    service, said = found.service, found.said
    for page in PAGES:
        said[page] = service.ask(page).body
    for camera in (found.wrong, found.right):
        said[f"/probe {camera}"] = service.ask(f"/probe?target={camera}&debug=true").body
        for part in ("", "/history", "/trace"):
            said[f"camera{part} {camera}"] = service.ask(f"/api/v1/cameras/{camera}{part}").body
        service.ask(f"/api/v1/cameras/{camera}/check", "POST", {})
    for command in COMMANDS:
        done = run(service, *command)
        said[" ".join(command)] = done.stdout + done.stderr
    for camera in (found.wrong, found.right):
        done = run(service, "probe", camera)
        said[f"probe {camera}"] = done.stdout + done.stderr
    book = folder / "report.xlsx"
    assert run(service, "report", "--xlsx", str(book)).returncode == 0
    with zipfile.ZipFile(book) as parts:
        said["report.xlsx"] = b"".join(parts.read(name) for name in parts.namelist())
    errors(found, folder)
    backup(found, folder)
    said["log"] = service.log.read_bytes()
    said["outputs"] = service.outputs.read_bytes()
    return found


def run(
    service: Service, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """A command to its end, whatever its exit code."""
    return subprocess.run(
        [*SIGHTLINE, *arguments, "--config", str(service.config)],
        capture_output=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def errors(found: Watched, folder: Path) -> None:
    """What it says when the secrets themselves are the trouble."""
    broken = {
        "no header": f"canary,admin,{WRONG}\n",
        "no name": f"name,username,password\n,admin,{WRONG}\n",
        "a column too many": f"name,username,password\ncanary,admin,{WRONG},{WRONG}\n",
        "twice": f"name,username,password\na,b,{WRONG}\na,b,{WRONG}\n",
        "a password as the column": f"name,username,{WRONG}\na,b,c\n",
    }
    archive = [str(folder / "cameras.csv")]
    for what, text in broken.items():
        file = folder / "broken.csv"
        file.write_text(text, encoding="utf-8")
        done = run(found.service, "import", *archive, "--credentials", str(file), "--dry-run")
        found.said[f"credentials with {what}"] = done.stdout + done.stderr
    dsn = f"postgresql://sightline:{DSN_SECRET}@127.0.0.1:9/none"
    for command in (("migrate",), ("config", "show")):
        done = run(found.service, *command, SIGHTLINE_STORE__DSN=dsn)
        found.said[f"{command} on a dead server"] = done.stdout + done.stderr


def backup(found: Watched, folder: Path) -> None:
    file = folder / "all.tar.gz"
    assert run(found.service, "backup", str(file)).returncode == 0
    with tarfile.open(file) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            found.said[f"backup: {member.name}"] = content.read() if content else b""


def test_no_secret_stands_anywhere(watched: Watched) -> None:
    assert watched.leaks() == []


def test_the_search_would_find_them(watched: Watched) -> None:
    for needle in (
        WRONG.encode(),
        base64.b64encode(f"user:{WRONG}".encode()),
        WRONG.encode().hex(),
    ):
        code = needle if isinstance(needle, bytes) else needle.encode()
        assert Watched(watched.service, "", "", (WRONG,), {"x": b"..." + code + b"..."}).leaks()


def test_what_was_searched_is_what_there_is(watched: Watched) -> None:
    said = watched.said
    assert [page for page in PAGES if len(said[page]) < 2] == []
    refused = said[f"/probe {watched.wrong}"] + said[f"probe {watched.wrong}"]
    assert b"auth" in refused
    assert b"canary" in said["backup: credentials.copy"], "the set is there, sealed"
    assert b"serving" in said["log"]
    about = [content for place, content in said.items() if place.startswith("credentials with")]
    assert sum(b"broken.csv" in content for content in about) >= len(about) - 1


def test_no_signature_is_logged_or_shown(watched: Watched) -> None:
    """A digest of a weak password can be turned back: it stays on the wire."""
    for place, content in watched.said.items():
        for sign in (b"PasswordDigest", b"PasswordText", b"Authorization: Digest", b'response="'):
            assert sign not in content, place

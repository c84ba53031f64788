"""Every word of the console: both languages complete, every key used, no code without a word."""

import json
import re
import shutil
import subprocess

import pytest

from gateway.domain.alerting.rows import ReceiptStep
from gateway.domain.camera import NodeKind
from gateway.domain.coverage.archive_view import Missing
from gateway.domain.coverage.bounds import Sure
from gateway.domain.coverage.rows import PlaceState
from gateway.domain.coverage.view import ViewState
from gateway.domain.event import EventKind, Severity
from gateway.domain.ledger import Ending, GapReason, State
from gateway.domain.observation import FaultCause, OutageCause
from gateway.ports.coverage import PlanStatus
from gateway.resources import data_dir

CONSOLE = data_dir("dashboards") / "console"
BY_CODE = {
    "state": {s.value for s in State},
    "meaning": {s.value for s in State},
    "outage": {c.value for c in OutageCause},
    "down": {k.value for k in NodeKind},
    "fault": {c.value for c in FaultCause},
    "ending": {e.value for e in Ending},
    "banner": {r.value for r in GapReason},
    "place": {s.value for s in PlaceState},
    "placemeaning": {s.value for s in PlaceState},
    "field": {m.value for m in Missing},
    "sure": {s.name.lower() for s in Sure if s is not Sure.NO},
    "event": {k.value for k in EventKind},
    "severity": {s.value for s in Severity},
    "receipt": {s.value for s in ReceiptStep},
    "plan": {s.value for s in PlanStatus},
    "view": {s.value for s in ViewState},
}
"""Lists whose words are looked up by a code of the domain."""
OPEN_LISTS = {
    "step": {"clock", "identity", "interfaces", "services", "profiles", "stream_uri", "rtsp"}
    | {"foreign_url"}
}
"""Names of trace steps are free text of the adapters; these are known besides the ladder."""

Catalogue = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def messages() -> Catalogue:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: it reads messages.js")
    program = "import('./messages.js').then(m => console.log(JSON.stringify(m.MESSAGES)))"
    done = subprocess.run(
        [node, "-e", program], cwd=CONSOLE, capture_output=True, text=True, check=True, timeout=30
    )
    found: Catalogue = json.loads(done.stdout)
    return found


def source() -> str:
    files = [f for f in sorted(CONSOLE.glob("*.js")) if f.name != "messages.js"]
    return "\n".join(f.read_text(encoding="utf-8") for f in files)


def test_both_languages_have_the_same_keys_and_no_empty_text(messages: Catalogue) -> None:
    assert set(messages) == {"zh-CN", "en"}
    assert messages["zh-CN"].keys() == messages["en"].keys()
    assert [k for texts in messages.values() for k, text in texts.items() if not text.strip()] == []


def test_both_languages_take_the_same_parameters(messages: Catalogue) -> None:
    def parameters(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    differing = {
        key
        for key, text in messages["zh-CN"].items()
        if parameters(text) != parameters(messages["en"][key])
    }
    assert differing == set()


def test_every_key_is_used_and_every_used_key_exists(messages: Catalogue) -> None:
    code = source()
    quoted = set(re.findall(r'"([a-z]+\.\w+)"', code))
    dynamic = set(re.findall(r"t\(`([a-z]+)\.\$\{", code)) | set(re.findall(r'word\("(\w+)"', code))
    named = set(re.findall(r'"(\w+)"', code)) | set(
        re.findall(r"^\s*(\w+): \(?", code, re.MULTILINE)
    )

    def is_used(key: str) -> bool:
        group, _, code_name = key.partition(".")
        known = BY_CODE.get(group, set()) | named | (OPEN_LISTS.get(group) or set())
        return key in quoted or (group in dynamic and code_name in known)

    keys = set(messages["en"])
    assert {key for key in keys if not is_used(key)} == set()
    lists = {key.partition(".")[0] for key in keys}
    assert {k for k in quoted if k.partition(".")[0] in lists} <= keys


@pytest.mark.parametrize("name", sorted(BY_CODE))
def test_every_code_of_the_domain_has_a_word(messages: Catalogue, name: str) -> None:
    for texts in messages.values():
        assert {code for code in BY_CODE[name] if f"{name}.{code}" not in texts} == set()


def test_the_chinese_catalogue_is_chinese_and_the_english_one_is_not(messages: Catalogue) -> None:
    han = re.compile(r"[\u4e00-\u9fff]")
    other = {"header.language"}
    in_english = {k for k, text in messages["en"].items() if han.search(text)} - other
    assert in_english == set()
    names = {"header.language"}
    assert {k for k, text in messages["zh-CN"].items() if not han.search(text)} <= names | {
        "app.title"
    }


def test_no_file_of_the_console_names_another_origin() -> None:
    namespaces = {"http://www.w3.org/2000/svg"}
    for file in [*CONSOLE.glob("*.js"), *CONSOLE.glob("*.css"), *CONSOLE.glob("*.html")]:
        found = set(re.findall(r"https?://[^\s\"')]+", file.read_text(encoding="utf-8")))
        assert found <= namespaces, file.name


def test_the_lock_file_names_no_host() -> None:
    text = (CONSOLE / "package-lock.json").read_text(encoding="utf-8")
    assert "http" not in text
    packages = json.loads(text)["packages"]
    assert all(package.get("integrity") for path, package in packages.items() if path)


@pytest.mark.parametrize(
    ("root_kind", "cause", "chinese"),
    [
        ("core", "uplink", "核心交换机中断"),
        ("uplink", "uplink", "上联链路中断"),
        ("aggregation", "uplink", "汇聚交换机中断"),
        ("access", "uplink", "接入交换机中断"),
        ("device", "unreachable", "设备无应答"),
        ("channel", "refused", "连接被拒绝"),
        ("gone", "uplink", "上联链路中断"),
    ],
)
def test_an_incident_says_what_failed_by_the_kind_of_its_root(
    root_kind: str, cause: str, chinese: str
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: it runs words.js")
    incident = json.dumps({"root_kind": root_kind, "cause": cause})
    program = f"import('./words.js').then(m => console.log(m.failed({incident})))"
    done = subprocess.run(
        ["node", "-e", program],
        cwd=CONSOLE,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.strip() == chinese, done.stderr

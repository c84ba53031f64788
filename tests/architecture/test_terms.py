"""One thing has one name: what the center reads in a title is what the operator reads in the console."""

import re
from pathlib import Path

from gateway.domain.alerting.titles import TITLES

MESSAGES = Path(__file__).parents[2] / "dashboards" / "console" / "messages.js"


def test_the_console_calls_each_kind_of_event_as_its_alerts_do() -> None:
    text = MESSAGES.read_text(encoding="utf-8")
    found = re.findall(r'^ +"event\.(\w+)": "([^"]+)"', text, re.MULTILINE)
    chinese = dict(reversed(found))  # Chinese stands first in the file, English below it
    assert {kind: chinese[kind] for kind in chinese if kind in TITLES} == dict(TITLES)

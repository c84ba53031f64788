"""Known replies: the reader of bytes never reads what lxml would read otherwise."""

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fakes.onvif_device import envelope

from adapters.onvif.known import SKELETONS, KnownReplies
from adapters.onvif.transport import Reply
from adapters.onvif.verdict import reach

RECORDED = Path(__file__).parents[1] / "data" / "onvif"
NOW = datetime(2026, 3, 1, 8, 30, 15, tzinfo=UTC)
MUTATIONS = 100_000
LONGEST_CUT = 40


def now() -> datetime:
    return NOW


def time_reply(at: datetime) -> str:
    """The body of a GetSystemDateAndTimeResponse as many firmwares write it."""
    stamp = (
        f"<tt:Time><tt:Hour>{at.hour}</tt:Hour><tt:Minute>{at.minute}</tt:Minute>"
        f"<tt:Second>{at.second}</tt:Second></tt:Time><tt:Date><tt:Year>{at.year}</tt:Year>"
        f"<tt:Month>{at.month}</tt:Month><tt:Day>{at.day}</tt:Day></tt:Date>"
    )
    return envelope(
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>"
        "<tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
        f"<tt:UTCDateTime>{stamp}</tt:UTCDateTime><tt:LocalDateTime>{stamp}</tt:LocalDateTime>"
        "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


def judged(body: bytes, known: KnownReplies | None = None) -> tuple[object, ...]:
    """What the check makes of a reply, through lxml alone or with known replies."""
    reached = reach(Reply(200, {}, body), now, 10.0, known)
    return reached.verdict, reached.tested, reached.found, reached.offset_s


def corpus() -> list[bytes]:
    """The bodies of the recorded replies, and plain ones in several styles."""
    bodies = [
        path.read_bytes().partition(b"\n\n")[2] for path in sorted(RECORDED.glob("quirk-*.http"))
    ]
    plain = time_reply(NOW).encode()
    return [
        plain,
        plain.replace(b"><", b">\r\n  <"),
        plain.replace(b">8<", b">08<").replace(b">3<", b">03<"),
        *filter(None, bodies),
    ]


def taught(bodies: list[bytes]) -> KnownReplies:
    known = KnownReplies()
    for body in bodies:
        reach(Reply(200, {}, body), now, 10.0, known)
    return known


def mutated(bodies: list[bytes], draw: random.Random) -> Iterator[bytes]:
    """A third with other digits, the rest with bytes changed, pieces cut out, doubled, put in."""
    digits = {body: [m.start() for m in re.finditer(rb"\d", body)] for body in bodies}
    while True:
        original = draw.choice(bodies)
        body = bytearray(original)
        if digits[original] and not draw.randrange(3):
            for _ in range(draw.choice((1, 2, 3))):
                body[draw.choice(digits[original])] = draw.choice(b"0123456789")
            yield bytes(body)
            continue
        for _ in range(draw.choice((1, 1, 2, 5))):
            at = draw.randrange(len(body))
            match draw.randrange(4):
                case 0:
                    body[at] = draw.randrange(256)
                case 1 if len(body) > LONGEST_CUT:
                    del body[at : at + draw.randrange(LONGEST_CUT)]
                case 2:
                    body[at:at] = body[at : at + draw.randrange(LONGEST_CUT)]
                case _:
                    body[at:at] = draw.choice((b"<", b">", b"1", b"\0", b"<!--", b"]]>", b"&#49;"))
        yield bytes(body)


def test_a_hundred_thousand_mutations_are_read_as_lxml_reads_them() -> None:
    bodies = corpus()
    known = taught(bodies)
    assert len(known) >= 3
    good = bodies[:3]
    draw = random.Random(20260301)  # noqa: S311 - seeded, so that a failure can be repeated
    read = declined = 0
    for body, _ in zip(
        mutated([*good * (len(bodies) // 4), *bodies], draw), range(MUTATIONS), strict=False
    ):
        if known.read(body) is None:
            declined += 1
            continue
        read += 1
        assert judged(body, known) == judged(body), body
    # The comparison is worth something only if both ways were taken often.
    assert read > MUTATIONS / 20
    assert declined > MUTATIONS / 2


def test_every_recorded_reply_is_judged_alike_the_first_and_the_second_time() -> None:
    for body in corpus():
        known = KnownReplies()
        assert judged(body, known) == judged(body)
        assert judged(body, known) == judged(body)


def test_another_time_in_a_known_reply_is_read_without_lxml() -> None:
    known = taught([time_reply(NOW).encode()])
    later = datetime(2027, 12, 31, 23, 59, 58, tzinfo=UTC)

    assert known.read(time_reply(later).encode()) == later


def test_a_month_that_does_not_exist_is_left_to_lxml() -> None:
    body = time_reply(NOW).encode()
    known = taught([body])

    assert known.read(body.replace(b"Month>3<", b"Month>13<")) is None


def test_a_fault_is_never_learned() -> None:
    bodies = [p.read_bytes().partition(b"\n\n")[2] for p in RECORDED.glob("quirk-31-*.http")]
    assert bodies

    assert len(taught(bodies)) == 0


def test_no_more_skeletons_are_kept_than_there_are_firmwares() -> None:
    plain = time_reply(NOW)
    head, _, tail = plain.partition("Body>")
    bodies = [f"{head}Body><!-- {'x' * n} -->{tail}".encode() for n in range(1, SKELETONS + 20)]

    assert len(taught(bodies)) <= SKELETONS

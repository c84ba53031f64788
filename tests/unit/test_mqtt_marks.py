"""Marks of messages: the same for what the broker sends again, another for everything else."""

from pathlib import Path

import pytest

from adapters.mqtt_marks import FILE, GROWS, Marks


def marks(file: Path | None, kept: int = 10, session: str = "broker:1883 gateway") -> Marks:
    return Marks(file, session, kept)


def press(held: Marks, mid: int, payload: bytes = b"PRESS", *, again: bool = False) -> str:
    mark = held.of(mid, "t/sos", payload, again=again)
    held.write()
    return mark


def test_what_is_sent_again_has_its_mark_and_a_packet_id_that_comes_round_has_none() -> None:
    held = marks(None)
    first = press(held, 7)
    assert press(held, 7, again=True) == first
    second = press(held, 7)  # the same press under the same id, 65,535 messages later
    assert second != first
    assert press(held, 7, again=True) == second
    assert press(held, 7, b"RELEASE", again=True) not in {first, second}


def test_what_is_sent_again_and_was_never_seen_is_new() -> None:
    held = marks(None)
    assert press(held, 1, again=True) != press(held, 2, again=True)


def test_marks_outlive_the_process_and_half_a_line_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / FILE
    before = marks(file)
    told = {mid: press(before, mid) for mid in range(1, 6)}
    with file.open("a") as torn:
        torn.write('[9, "x')

    after = marks(file)
    assert {mid: press(after, mid, again=True) for mid in told} == told
    assert press(after, 9, again=True) != "x"
    assert {mid: press(marks(file), mid, again=True) for mid in told} == told
    assert len({*told.values(), press(after, 5), press(marks(file), 1)}) == 7


@pytest.mark.parametrize("forgets", [True, False], ids=["new session", "another broker"])
def test_nothing_is_known_again_in_another_session(tmp_path: Path, *, forgets: bool) -> None:
    file = tmp_path / FILE
    held = marks(file)
    first = press(held, 1)
    if forgets:
        held.forget()
        assert press(marks(file), 1, again=True) != first
    else:
        assert press(marks(file, session="other:1883 gateway"), 1, again=True) != first


def test_only_as_many_are_kept_as_may_be_in_flight_and_the_file_stays_short(tmp_path: Path) -> None:
    file = tmp_path / FILE
    held = marks(file, kept=10)
    told = {mid: press(held, mid) for mid in range(1, 1001)}
    assert len(file.read_text().splitlines()) <= 10 * GROWS

    later = marks(file, kept=10)
    known = [press(later, mid, again=True) == told[mid] for mid in (1000, 991, 990)]
    assert known == [True, True, False]


def test_without_a_place_to_write_messages_are_told_apart_all_the_same(tmp_path: Path) -> None:
    held = marks(tmp_path / "absent" / FILE)
    first = press(held, 1)
    assert press(held, 1, again=True) == first != press(held, 1)
    held.forget()
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    assert press(marks(tmp_path / FILE), 1) != first

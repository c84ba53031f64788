"""Header recognition: English keys, the Chinese of real files, and what looks like a login."""

import pytest
from archive_files import FOLDER, PLACES, good, plan, raw
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.archive_fields import (
    ALIASES,
    LOOKUP,
    SECRET_NAMES,
    Kind,
    detect_kind,
    plain_name,
    read_header,
)

NAMES = [(kind, alias, key) for kind in Kind for key in ALIASES[kind]
         for alias in (key, *ALIASES[kind][key].split())]  # fmt: skip


@st.composite
def disguised(draw: st.DrawFn) -> tuple[Kind, str, str]:
    """A known name as people write it: case, blanks, remarks in brackets, a star, a colon."""
    kind, alias, key = draw(st.sampled_from(NAMES))
    letters = [draw(st.sampled_from([sign, sign.upper()])) for sign in alias]
    gaps = draw(st.lists(st.sampled_from(["", " ", "_", "-", "\u3000"]), min_size=len(alias)))
    text = "".join(gap + sign for gap, sign in zip(gaps, letters, strict=False))
    before = draw(st.sampled_from(["", "*", " "]))
    after = draw(st.sampled_from(["", "（必填）", "(度)", "：", "[20位]", " *"]))
    return kind, f"{before}{text}{after}", key


@given(disguised())
def test_a_known_name_is_recognized_however_it_is_dressed(name: tuple[Kind, str, str]) -> None:
    kind, written, key = name
    assert read_header(kind, [written]).keys == {written: key}


@given(st.sampled_from(Kind), st.lists(st.text(min_size=1), unique=True))
def test_every_column_is_recognized_or_unknown_or_secret_never_lost(
    kind: Kind, columns: list[str]
) -> None:
    header = read_header(kind, columns)
    assert sorted([*header.keys, *header.unknown, *header.secret]) == sorted(columns)
    assert len(set(header.keys.values())) == len(header.keys)
    assert set(header.repeated) <= set(header.unknown)


def test_no_name_means_two_things() -> None:
    for kind in Kind:
        for key, aliases in ALIASES[kind].items():
            assert all(LOOKUP[kind][plain_name(alias)] == key for alias in [key, *aliases.split()])


def test_no_login_column_is_an_archive_field() -> None:
    for kind in Kind:
        assert not SECRET_NAMES & LOOKUP[kind].keys()


@pytest.mark.parametrize("column", ["密码", "登录密码", "Password", "设备口令", "用户名", "PWD"])
def test_login_columns_are_dropped(column: str) -> None:
    assert read_header(Kind.CAMERAS, [column]).secret == (column,)


def test_an_exact_key_wins_over_another_name_for_it() -> None:
    header = read_header(Kind.CAMERAS, ["设备名称", "name"])
    assert header.keys == {"name": "name"}
    assert header.repeated == ("设备名称",)


def test_brackets_around_everything_are_not_a_remark() -> None:
    assert plain_name("（经度）") == "经度"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("good-cameras.csv", Kind.CAMERAS),
        ("good-chinese-gb18030.csv", Kind.CAMERAS),
        ("good-cameras.geojson", Kind.CAMERAS),
        ("good-nodes.csv", Kind.NODES),
        ("good-divisions.csv", Kind.DIVISIONS),
        ("good-windows.csv", Kind.WINDOWS),
        ("good-grids.geojson", Kind.GRIDS),
        ("broken-unknown-kind.csv", None),
    ],
)
def test_the_columns_tell_what_a_file_lists(name: str, kind: Kind | None) -> None:
    assert detect_kind(raw(name).columns) is kind


def test_places_are_not_taken_for_grid_cells() -> None:
    columns = ["id", "name", "kind", "weight", "synthetic", "geometry"]
    assert detect_kind(columns) is Kind.PLACES


@pytest.mark.parametrize(
    "name",
    ["good-chinese-gb18030.csv", "good-chinese-bom-tab.csv", "good-chinese.xlsx",
     "good-cameras.geojson"],
)  # fmt: skip
def test_the_same_archive_in_any_clothes_is_the_same_archive(name: str) -> None:
    assert (FOLDER / name).exists()
    found = plan(*PLACES, name, "good-windows.csv")
    assert found.repairs == ()
    assert found.inventory == good().inventory

"""Archive fields packed: a mapping like any other, and small."""

import copy
import tracemalloc
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.packed import PackedText

FIELDS = st.dictionaries(st.text(), st.text(), max_size=8)
ONE = {"civil_code": "610802001", "address": "榆阳镇 新建路 12 号", "note": ""}


@given(FIELDS)
def test_a_packed_mapping_is_the_mapping(fields: dict[str, str]) -> None:
    packed = PackedText(fields)
    assert dict(packed) == fields
    assert list(packed.items()) == list(fields.items())
    assert list(packed) == list(fields)
    assert list(packed.values()) == list(fields.values())
    assert len(packed) == len(fields)
    assert all(key in packed and packed[key] == value for key, value in fields.items())


@given(FIELDS, FIELDS)
def test_it_equals_exactly_what_has_the_same_items(
    one: dict[str, str], other: dict[str, str]
) -> None:
    packed = PackedText(one)
    assert packed == one
    assert one == packed
    assert packed == MappingProxyType(one)
    assert MappingProxyType(one) == packed
    assert (packed == PackedText(other)) == (one == other)
    assert (packed != other) == (one != other)


@given(FIELDS)
def test_the_order_of_the_keys_changes_neither_equality_nor_hash(fields: dict[str, str]) -> None:
    turned = dict(reversed(fields.items()))
    assert PackedText(fields) == PackedText(turned)
    assert hash(PackedText(fields)) == hash(PackedText(turned))


def test_a_value_that_differs_makes_it_another() -> None:
    assert PackedText(ONE) != PackedText({**ONE, "note": "x"})
    assert PackedText(ONE) != {**ONE, "note": "x"}
    assert PackedText(ONE) != "text"


def test_a_key_that_is_not_there_is_missing() -> None:
    packed = PackedText(ONE)
    assert packed.get("datum", "none") == "none"
    assert "datum" not in packed
    with pytest.raises(KeyError, match="datum"):
        packed["datum"]


def test_lone_surrogates_survive() -> None:
    assert PackedText({"a": "\ud800"})["a"] == "\ud800"


def test_it_shows_its_fields_and_can_be_copied() -> None:
    packed = PackedText(ONE)
    assert "新建路" in repr(packed)
    assert copy.deepcopy(packed) == packed
    assert copy.copy(packed) == packed


def test_two_dozen_fields_take_less_than_half_a_kilobyte() -> None:
    def fields(number: int) -> dict[str, str]:
        return {f"field_number_{key}": f"value {number * key}" for key in range(24)}

    PackedText(fields(0))
    tracemalloc.start()
    kept = [PackedText(fields(number)) for number in range(1000)]
    taken = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    assert taken < 512

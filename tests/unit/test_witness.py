"""Who bears witness for whom."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.camera import NodeId
from gateway.domain.observation import Instant
from gateway.domain.witness import CANARY, Witness

EAST, WEST = NodeId("east"), NodeId("west")


def test_nobody_has_been_seen_at_first() -> None:
    witness = Witness()
    assert witness.newest == float("-inf")
    assert not witness.seen_since(EAST, Instant(0.0))
    assert not witness.seen_outside({EAST}, Instant(0.0))


def test_a_branch_does_not_witness_for_itself() -> None:
    witness = Witness()
    witness.good(EAST, Instant(10.0))
    assert not witness.seen_since(EAST, Instant(5.0))
    assert witness.seen_since(WEST, Instant(5.0))
    assert not witness.seen_since(WEST, Instant(10.0)), "after it, not at the same moment"


def test_a_canary_witnesses_for_everybody() -> None:
    witness = Witness()
    witness.good(CANARY, Instant(10.0))
    assert witness.seen_since(EAST, Instant(9.0))
    assert witness.seen_outside({EAST, WEST}, Instant(9.0))


def test_a_node_with_several_branches_needs_somebody_outside_all_of_them() -> None:
    witness = Witness()
    witness.good(EAST, Instant(10.0))
    witness.good(WEST, Instant(11.0))
    assert not witness.seen_outside({EAST, WEST}, Instant(0.0))
    assert witness.seen_outside({EAST}, Instant(10.5))
    assert not witness.seen_outside({EAST}, Instant(11.0))


answers = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", CANARY]), st.floats(0.0, 100.0)), max_size=40
)


@given(answers, st.sampled_from(["a", "b", "c"]), st.floats(0.0, 100.0))
def test_two_slots_remember_as_much_as_all_answers_would(
    told: list[tuple[str, float]], branch: str, at: float
) -> None:
    witness = Witness()
    for who, when in told:
        witness.good(NodeId(who), Instant(when))
    expected = any(who != branch and when > at for who, when in told)
    assert witness.seen_since(NodeId(branch), Instant(at)) == expected
    assert witness.seen_outside({NodeId(branch)}, Instant(at)) == expected
    if told:
        assert witness.newest == max(when for _, when in told)

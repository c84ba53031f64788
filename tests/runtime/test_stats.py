"""What the service measures of itself: bounded, cheap to ask for, and null until it is measured."""

import random
import time

import pytest

from gateway.domain.observation import Instant
from gateway.runtime.stats import BUCKETS, SMALLEST, STEP, Histogram, Stats, quantile


def test_quantiles_by_nearest_rank() -> None:
    assert quantile([], 0.5) == 0.0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0


@pytest.mark.parametrize("q", [0.0, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("scale", [1e-5, 0.01, 30.0])
def test_a_histogram_is_at_most_2_percent_above_the_sorted_numbers(q: float, scale: float) -> None:
    draw = random.Random(1)  # noqa: S311
    values = [draw.expovariate(1 / scale) for _ in range(5_000)]
    found = Histogram()
    for value in values:
        found.append(value)
    exact = quantile(values, q)
    got = found.quantile(q)
    assert got is not None
    assert exact <= got <= max(exact * STEP, SMALLEST) * (1 + 1e-9)
    assert (len(found), found.largest) == (5_000, max(values))


def test_a_histogram_takes_any_number_and_forgets() -> None:
    found = Histogram()
    assert found.quantile(0.5) is None
    for value in (0.0, -1.0, 1e12):
        found.append(value)
    assert found.quantile(0.0) == SMALLEST
    assert found.quantile(1.0) == pytest.approx(SMALLEST * STEP ** (BUCKETS - 1))
    assert SMALLEST * STEP ** (BUCKETS - 1) > 86_400
    found.clear()
    assert (len(found), found.largest, found.quantile(0.5)) == (0, 0.0, None)


def test_before_the_first_round_nothing_was_measured() -> None:
    stats = Stats()
    stats.lateness_s.append(5.0)
    stats.loop_lag_s.append(5.0)
    stats.checks = stats.observations = 7
    report = stats.report()
    assert report.pop("pid")
    assert report.pop("peak_rss_mb")
    empty = {"p50": None, "p99": None}
    assert report == {
        "seconds": None,
        "checks": None,
        "observations": None,
        "heard": None,
        "lateness_seconds": empty,
        "round_seconds": {"p50": None, "p95": None},
        "loop_lag_ms": empty,
        "cpu_ms_per_check": None,
        "cores_used": None,
    }


def test_measuring_begins_anew_after_the_first_round() -> None:
    stats = Stats()
    stats.lateness_s.append(5.0)
    stats.checks = 7
    stats.restart(Instant(1.0))
    report = stats.report()
    assert report["checks"] == 0
    assert report["cpu_ms_per_check"] is None
    assert report["lateness_seconds"] == {"p50": None, "p99": None}
    assert stats.since == 1.0
    stats.observations = 10
    stats.lateness_s.append(0.25)
    stats.loop_lag_s.append(0.002)
    report = stats.report()
    assert report["lateness_seconds"] == {"p50": 0.25, "p99": 0.25}
    assert report["loop_lag_ms"] == {"p50": 2.0, "p99": 2.0}
    assert isinstance(report["cpu_ms_per_check"], float)


def test_the_report_holds_the_loop_for_less_than_a_millisecond_however_much_was_measured() -> None:
    stats = Stats()
    stats.restart(Instant(1.0))
    draw = random.Random(1)  # noqa: S311
    for _ in range(200_000):
        stats.lateness_s.append(draw.random())
        stats.loop_lag_s.append(draw.random())
    for _ in range(1_000):
        stats.rounds_s.append(draw.random())
    took = []
    for _ in range(20):
        began = time.process_time()
        stats.report()
        took.append(time.process_time() - began)
    assert min(took) < 0.001

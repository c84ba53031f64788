"""What `make bench` is to reach: the tables of the open work, one row a figure, and where it is found."""

from dataclasses import dataclass
from typing import Any, Final

SUMMARY, PAGE = "api/v1/summary?by=township", "api/v1/cameras?limit=100"


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure: `most` is the most that it may be.

    Attributes:
        what: for the table, with its unit.
        most: reached when the figure is not more.
        path: where it stands in build/bench.json.
    """

    what: str
    most: float
    path: tuple[str, ...]

    def value(self, found: Any) -> float | None:
        """The figure, or None where it was not measured."""
        for key in self.path:
            if not isinstance(found, dict) or key not in found:
                return None
            found = found[key]
        return None if found is None else float(found)

    def reached(self, found: Any) -> bool | None:
        """Whether it was reached; None = not measured."""
        value = self.value(found)
        return None if value is None else value <= self.most

    def text(self, found: Any) -> str:
        """The figure for a table; a dash where it was not measured."""
        value = self.value(found)
        return "–" if value is None else f"{value:.4g}"


GOALS: Final = (
    Goal("cold sweep of the fleet, CPU-s", 4.8, ("sweep", "cold_cpu_s")),
    Goal("warm sweep of the fleet, CPU-s", 2.4, ("sweep", "warm_cpu_s")),
    Goal("CPU a warm check, ms", 0.20, ("sweep", "warm_ms_per_check")),
    Goal("wall of a cold sweep, 30 ms latency, 3 % dead, s", 6, ("slow", "wall_s")),
    Goal("CPU a cold check, three fleets to one", 1.2, ("growth", "ratios", "cold_3x")),
    Goal("CPU a recorded check, ten fleets to one", 1.2, ("growth", "ratios", "recorded_10x")),
    Goal("place to its cells, country, ms", 0.2, ("linking", "link", "country_ms")),
    Goal("place to its cells, city, ms", 0.2, ("linking", "link", "city_ms")),
    Goal("storm of signals, CPU µs each", 50, ("linking", "storm", "cpu_us_a_signal")),
    Goal("storm of signals, memory grown, MB", 50, ("linking", "storm", "grown_mb")),
    Goal("1,000 events/s: device to center p99, s", 1, ("events", "steady", "p99_s")),
    Goal("1,000 events/s: incidents not told", 0, ("events", "steady", "not_told")),
    Goal("1,000 events/s: signals lost", 0, ("events", "steady", "signals_lost")),
    Goal("storm of 10,000/s: alarms lost", 0, ("events", "storm", "alarms_lost")),
    Goal("storm of 10,000/s: signals of incidents lost", 0, ("events", "storm", "signals_lost")),
    Goal("storm of 10,000/s: coalesced and not counted", 0, ("events", "storm", "plain_uncounted")),
    Goal("storm of 10,000/s: checks later than 1 s, share", 0.01, ("events", "storm", "checks_late_share")),
    Goal("storm of 10,000/s: memory grown, MB", 50, ("events", "storm", "grown_mb")),
    Goal("center down an hour: messages lost", 0, ("center_down", "lost")),
    Goal("center down an hour: duplicated", 0, ("center_down", "duplicated")),
    Goal("center down an hour: drained after, s", 60, ("center_down", "drained_s")),
    Goal("demo: lateness p99, s", 1, ("live", "demo", "lateness_seconds", "p99")),
    Goal("demo: death to confirmed outage p50, s", 30, ("live", "demo", "detection_seconds", "p50")),
    Goal("demo: death to confirmed outage p99, s", 50, ("live", "demo", "detection_seconds", "p99")),
    Goal("demo: missed", 0, ("live", "demo", "truth", "missed")),
    Goal("demo: invented", 0, ("live", "demo", "truth", "invented")),
    Goal("demo: cut uplink and switch that are not ONE incident", 0, ("live", "cuts", "not_one_incident")),
    Goal("demo: alerts missed", 0, ("live", "demo", "alerts", "missed")),
    Goal("demo: alerts linked wrongly", 0, ("live", "demo", "alerts", "mislinked")),
    Goal("demo: blind spots missed", 0, ("live", "demo", "blind_spots", "missed")),
    Goal("demo: blind spots invented", 0, ("live", "demo", "blind_spots", "invented")),
    Goal("lateness p99 of the healthy, 30 % SYN-dropped, s", 1, ("dead", "lateness_p99_s")),
    Goal("event-loop lag p99 meanwhile, ms", 50, ("dead", "loop_lag_p99_ms")),
    Goal("coverage: full build with line of sight, CPU-s", 6, ("coverage", "build_cpu_s")),
    Goal("gateway peak RSS, fleet only, MB", 200, ("footprint", "fleet_only", "peak_mb")),
    Goal("gateway peak RSS, fleet and coverage, MB", 350, ("footprint", "with_coverage", "peak_mb")),
    Goal("gateway peak RSS, with pulled events too, MB", 550, ("footprint", "with_pulls", "peak_mb")),
    Goal("demo: gateway peak RSS, everything on, MB", 550, ("live", "demo", "memory_mb", "gateway")),
    Goal("12,328 idle pulls, share of a core", 0.15, ("pulls", "core_share_of_12328")),
    Goal("store: a sweep with 1 % changes committed, ms", 10, ("store", "commit_ms_p50")),
    Goal("/metrics/devices scrape, CPU ms", 5, ("pages", "/metrics/devices")),
    Goal("MQTT QoS 1: CPU a message stored and acknowledged, ms", 0.5, ("mqtt", "cpu_ms_each")),
    Goal("coverage: a change to its rows p99, ms", 5, ("coverage_live", "single", "p99_ms")),
    Goal("coverage: the same where 20 views overlap, ms", 15, ("coverage_live", "single_dense", "p99_ms")),
    Goal("coverage: storm of 1,000 outages, s", 0.5, ("coverage_live", "storm", "one_batch_s")),
    Goal("coverage: counts wrong after 100,000 changes", 0, ("coverage_live", "walk", "wrong_counts")),
    Goal("coverage: area drift after 100,000 changes, m2", 1, ("coverage_live", "walk", "area_drift_m2")),
    Goal("coverage: CPU a camera, ten districts to one", 1.2, ("coverage_growth", "build", "each_camera")),
    Goal("coverage: a change p50, ten districts to one", 1.5, ("coverage_growth", "change", "ratio")),
    Goal("plan: 50 of 5,000 poles, 8 directions, s", 2, ("plan", "one_lens", "solve_s")),
    Goal("plan: its proven gap, %", 2, ("plan", "one_lens", "gap_percent")),
    Goal("plan: lenses, three a site, backup, s", 15, ("plan", "all_together", "solve_s")),
    Goal("plan: a change by hand, s", 0.2, ("plan", "what_if_s")),
    Goal("demo: event-loop lag p99, ms", 50, ("live", "demo", "loop_lag_ms", "p99")),
    Goal("summary p99 while polling, ms", 50, ("live", "api", SUMMARY, "p99_ms")),
    Goal("page of cameras p99 while polling, ms", 50, ("live", "api", PAGE, "p99_ms")),
)  # fmt: skip

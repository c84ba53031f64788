"""Plans are permitted, worth what they say, and as good as they claim."""

import itertools

import numpy as np
import pytest
from fakes.planning_cases import by_trying, draw_task, optimum, permitted, with_limits, worth

from gateway.domain.planning.bound import lagrangian
from gateway.domain.planning.greedy import greedy
from gateway.domain.planning.problem import Limits, build_problem, csr_of
from gateway.domain.planning.site_table import SiteTable
from gateway.domain.planning.solve import ROUNDS, Solution, Task, solve
from gateway.domain.planning.swap import improve

KINDS = {
    "sites": Limits(sites=3),
    "one site": Limits(sites=1),
    "none": Limits(sites=0),
    "every site": Limits(sites=99),
    "two a site": Limits(sites=3, per_site=2),
    "three a site": Limits(sites=3, per_site=3),
    "backup": Limits(sites=4, backup=0.5),
    "two a site and backup": Limits(sites=3, per_site=2, backup=0.3),
    "budget": Limits(budget=9_000.0),
    "budget, two a site": Limits(budget=9_000.0, per_site=2),
    "budget, backup, sites": Limits(sites=4, budget=9_000.0, per_site=3, backup=0.4),
    "no money": Limits(budget=500.0),
}


def options_of(found: Solution) -> list[int]:
    return [option for site in found.sites for option in site.options]


@pytest.mark.parametrize("limits", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_a_plan_is_permitted_and_the_optimum_lies_between_gain_and_bound(
    limits: Limits, seed: int
) -> None:
    task = draw_task(seed, limits)
    found = solve(task)
    assert permitted(task, options_of(found))
    assert found.gain == pytest.approx(worth(task, options_of(found)))
    best = optimum(task)
    assert found.greedy_gain <= found.gain + 1e-9
    assert found.gain - 1e-6 <= best <= found.bound + 1e-6
    assert found.gain >= 0.85 * best
    assert 0 <= found.gap <= 1


def test_the_optimum_of_the_comparison_is_the_best_of_all_choices() -> None:
    for seed, limits in itertools.product(range(3), (Limits(sites=2, per_site=2, backup=0.5),)):
        task = draw_task(seed, limits, sites=4, points=12, per_site=3)
        assert optimum(task) == pytest.approx(by_trying(task, 4))


@pytest.mark.parametrize("seed", range(3))
def test_the_gains_of_the_sites_add_up_and_never_grow(seed: int) -> None:
    task = draw_task(seed, Limits(sites=6, per_site=2, backup=0.25), sites=20, points=100)
    found = solve(task)
    gains = [site.gain for site in found.sites]
    assert sum(gains) == pytest.approx(found.gain)
    assert gains == sorted(gains, reverse=True)
    for number in range(len(gains)):
        first = [o for site in found.sites[: number + 1] for o in site.options]
        assert worth(task, first) == pytest.approx(sum(gains[: number + 1]))


@pytest.mark.parametrize("per_site", [1, 2])
def test_one_more_site_never_lowers_the_gain_nor_the_bound_the_optimum(per_site: int) -> None:
    task = draw_task(7, Limits(sites=1, per_site=per_site), sites=10, points=40)
    gains = [solve(with_limits(task, sites=n)).gain for n in range(1, 5)]
    assert gains == sorted(gains)


def test_the_points_of_a_site_are_those_it_is_the_first_to_see() -> None:
    task = draw_task(3, Limits(sites=4), sites=20, points=150)
    found = solve(task)
    told = np.concatenate([site.points for site in found.sites])
    assert len(set(told.tolist())) == len(told)
    assert not task.seen[told].any()
    for site in found.sites:
        assert task.weight[site.points].sum() == pytest.approx(site.gain)


def test_equal_tasks_have_equal_plans() -> None:
    task = draw_task(11, Limits(sites=5, per_site=2, backup=0.5), sites=20, points=100)
    one, two = solve(task), solve(task)
    assert options_of(one) == options_of(two)
    assert (one.gain, one.bound) == (two.gain, two.bound)


def test_nothing_to_gain_is_a_plan_without_sites() -> None:
    task = draw_task(1, Limits(sites=5))
    everything_seen = Task(
        task.covers, task.option_site, task.cost, task.weight, task.seen * 0 + 1, task.limits
    )
    found = solve(everything_seen)
    assert (found.sites, found.gain, found.bound, found.gap) == ((), 0.0, 0.0, 0.0)


def test_no_options_at_all_is_a_plan_without_sites() -> None:
    nobody = np.empty(0, dtype=np.int32)
    task = Task(
        csr_of(nobody, nobody, 0), nobody, np.empty(0), np.ones(3), np.zeros(3, np.int32),
        Limits(sites=2),
    )  # fmt: skip
    assert solve(task).sites == ()


def test_time_that_is_up_leaves_a_permitted_plan_and_a_bound_that_holds() -> None:
    task = draw_task(5, Limits(sites=3, per_site=2))
    found = solve(task, stop=lambda: True)
    assert found.cut_short
    assert permitted(task, options_of(found))
    assert found.gain <= optimum(task) <= found.bound + 1e-6
    assert found.rounds < ROUNDS


def test_progress_only_grows_and_ends_at_one() -> None:
    told: list[float] = []
    solve(draw_task(2, Limits(sites=5, per_site=3), sites=20, points=100), told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_cheap_plan_may_beat_a_dear_site() -> None:
    # One dear site sees 5; two cheap ones see 4 each.
    covers = csr_of(np.array([0] * 5 + [1] * 4 + [2] * 4), np.arange(13), 3)
    task = Task(
        covers,
        np.arange(3, dtype=np.int32),
        np.array([10.0, 5.0, 5.0]),
        np.ones(13),
        np.zeros(13, np.int32),
        Limits(budget=10.0),
    )
    assert solve(task).gain == 8.0


def test_more_options_at_a_site_than_a_number_has_bits_still_have_a_bound() -> None:
    task = draw_task(4, Limits(sites=1, per_site=2), sites=2, points=30, per_site=80)
    found = solve(task)
    assert found.gain - 1e-6 <= optimum(task) <= found.bound + 1e-6


def test_few_rounds_of_the_bound_give_a_bound_that_holds() -> None:
    task = draw_task(9, Limits(sites=3))
    numbers = np.arange(len(task.weight), dtype=np.int32)
    problem, row_of = build_problem(
        task.covers, task.option_site, task.cost, task.weight, task.seen, task.limits
    )
    found = lagrangian(problem, SiteTable(problem), rounds=3, good_enough=0.0, told=lambda *_: 0.0)
    assert found.rounds == 3
    assert found.value >= optimum(task)
    assert set(row_of.tolist()) <= set(numbers.tolist()) | {-1}


@pytest.mark.parametrize(
    ("seed", "limits"), [(19, Limits(sites=3)), (0, Limits(budget=9_000.0, per_site=2))]
)
def test_the_prices_of_the_bound_lead_out_of_a_dead_end_of_greedy_and_exchanges(
    seed: int, limits: Limits
) -> None:
    task = draw_task(seed, limits, sites=14, points=40)
    problem, _ = build_problem(
        task.covers, task.option_site, task.cost, task.weight, task.seen, task.limits
    )
    stuck = greedy(problem)
    improve(stuck, SiteTable(problem))
    assert solve(task).gain > stuck.total() + 0.5

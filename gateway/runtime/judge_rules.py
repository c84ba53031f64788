"""The numbers of judging, from the settings."""

from gateway.domain.health import Rules
from gateway.domain.root_cause import RootRules
from gateway.runtime.judge import JudgeRules
from gateway.settings import Settings


def judge_rules(settings: Settings) -> JudgeRules:
    """The numbers of judging."""
    poll, judge = settings.poll, settings.judge
    return JudgeRules(
        Rules(
            cadence_s=poll.cadence_s,
            recheck_s=poll.recheck_s,
            confirm_failures=judge.confirm_failures,
            confirm_span_s=judge.confirm_span_s,
            blind_after_s=judge.blind_after_s,
            flap_losses=judge.flap_losses,
            flap_window_s=judge.flap_window_s,
            flap_calm_s=judge.flap_calm_s,
        ),
        RootRules(
            children=judge.node_children,
            window_s=judge.node_window_s,
            siblings=judge.node_siblings,
            round_s=poll.recheck_s,
            check_s=poll.check_s,
            rest_s=poll.recheck_s,
            # Long enough for a trial whose every round waits for the limit of a check.
            patience_s=max(8 * poll.recheck_s, 3 * (poll.recheck_s + 2 * poll.check_s)),
        ),
    )

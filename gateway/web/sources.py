"""Sources of the HTTP intake: who may post, by the secrets of its own."""

from aiohttp import web

from gateway.ports import Secret
from gateway.web import problems
from gateway.web.context import IntakeDesk, WebContext
from gateway.web.problems import Problem
from gateway.web.signed import SignedPosts


class SignedSources:
    """Verifies the posts of each source by its own secrets.

    Args:
        intake: names the sources; None = there are none.
    """

    def __init__(self, intake: IntakeDesk | None) -> None:
        secrets = {} if intake is None else intake.secrets
        self._posts = {
            name: SignedPosts([Secret(one) for one in held]) for name, held in secrets.items()
        }
        self._nobody = SignedPosts(())

    async def verify(self, request: web.Request, context: WebContext) -> None:
        """Return when a post is genuine. An unknown source is refused like a wrong signature.

        Raises:
            Problem: switched-off, bad-signature, or conflict (a used id with another body).
        """
        if not self._posts:
            raise Problem(problems.SWITCHED_OFF, "intake.secrets_dir is not set")
        posts = self._posts.get(request.match_info["source"], self._nobody)
        await posts.verify(request, context.clock.now())

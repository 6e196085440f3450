"""Models and Redis with a span for each use.

Belongs here: what the spans say. Does not: how spans are made (otel.py).
"""

from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio import Redis

from recsys_platform.serving.following import Served
from recsys_platform.serving.recommending import Answer, Backend, Query
from recsys_platform.serving.shared_redis import SharedRedis, Value
from recsys_platform.serving.snapshot import Profile
from recsys_platform.serving.tracing import Span, Tracing


class TracedBackend:
    """Asks models, in a span each time that names the alias, and the version that answered."""

    def __init__(self, backend: Backend, tracing: Tracing) -> None:
        """`backend`: what asks the models."""
        self._backend, self._tracing = backend, tracing

    @property
    def version(self) -> str:
        """That of the backend."""
        return self._backend.version

    def recommend(self, served: Served, alias: str, profile: Profile, query: Query, seed: int) -> Answer | None:
        """The list of the model for a profile."""
        with self._tracing.span("model recommend", {"recsys.model": alias}) as span:
            return _noted(span, self._backend.recommend(served, alias, profile, query, seed))

    def rank(self, served: Served, alias: str, profile: Profile, books: Sequence[str]) -> Answer | None:
        """Given books in order."""
        with self._tracing.span("model rank", {"recsys.model": alias}) as span:
            return _noted(span, self._backend.rank(served, alias, profile, books))


def _noted(span: Span, answer: Answer | None) -> Answer | None:
    if answer is not None:
        span.set_attribute("recsys.model_version", answer.model_version)
        span.set_attribute("recsys.books", len(answer.items))
    return answer


class TracedRedis(SharedRedis):
    """A shared Redis, in a span each time that says whether it answered."""

    def __init__(self, url: str, on_failure: Callable[[], None], tracing: Tracing, **options: float) -> None:
        """`url`, `on_failure`, `options`: of the Redis."""
        super().__init__(url, on_failure, **options)
        self._tracing = tracing

    async def run(self, commands: Callable[[Redis], Awaitable[Value]]) -> Value | None:
        """Return what the commands give; None if Redis is away."""
        with self._tracing.span("redis", {"db.system.name": "redis"}, remote=True) as span:
            found = await super().run(commands)
            span.set_attribute("recsys.answered", found is not None)
            return found

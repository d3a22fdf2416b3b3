"""What failed requests mean for their run: whether it goes on. Read by runner.py."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from margintool.judge.item import Dialect, Request
from margintool.judge.running import faults
from margintool.judge.running.refusal import no_longer_taken
from margintool.judge.running.wire import Call

# So many faults of the server in a row, or twice as many as are in flight, and it counts as down.
_LEAST_FAULTS = 50
# So many refusals of a model that has not answered yet, and no request to it has a chance: a
# single one may be about its request, as 403 is where a proxy's moderation says no.
_MOST_REFUSED = 3

_DOWN = (
    "{n} requests in a row failed, each after its retries; the last: {words}. Is {server} all "
    "right? Replies so far are kept; give the command again to go on"
)
_CHANGED = (
    "{server}: refuses {field!r}, which it took for {model!r} before ({said}). Give the command "
    "again, with its --input: it is found out anew how this server wants to be asked"
)


@dataclass(frozen=True)
class Failed:
    """A request that got no reply.

    Args:
        error: what the SDK raised after the last try.
        kind: the same in few words, to be counted.
        tries: how often it was sent.
        servers: whether it is a fault of the server or the way to it, not of the request.
    """

    error: Exception
    kind: str
    tries: int
    servers: bool

    @classmethod
    def of(cls, error: Exception, call: Call) -> "Failed":
        """Return what an error, after the last try of a call, is."""
        return cls(error, faults.kind(error, call), call.tries, faults.of_the_server(error, call))


class Failures:
    """Decides after each failure whether the run goes on.

    Args:
        server: the address, as kept in the journal.
        hide: takes the API key out of what a server says.
        concurrency: requests in flight.
        dialects: model -> how the server is known to want to be asked, where it is known.
    """

    def __init__(
        self,
        server: str,
        hide: Callable[[str], str],
        concurrency: int,
        dialects: Mapping[str, Dialect | None],
    ) -> None:
        self._server = server
        self._hide = hide
        self._most_in_a_row = max(_LEAST_FAULTS, 2 * concurrency)
        self._dialects = dialects
        self._in_a_row = 0
        self._answered: set[str] = set()
        self._refused: Counter[str] = Counter()
        self._changed: set[str] = set()

    @property
    def changed(self) -> set[str]:
        """Models that take no longer what they took, and have answered nothing in this run."""
        return self._changed - self._answered

    def answered(self, model: str) -> None:
        """Note a reply: the model can be asked."""
        self._in_a_row = 0
        self._answered.add(model)

    def in_doubt(self, model: str) -> bool:
        """Whether a model has refused and not yet answered."""
        return model in self._refused and model not in self._answered

    def final(self, request: Request, failed: Failed) -> str | None:
        """Return the message where every further request would meet the same, else None."""
        message = faults.stops_the_run(failed.error, request.model, self._server)
        if message is not None and not faults.may_be_its_own(failed.error):
            return self._hide(message)
        if message is None:
            message = self._no_longer(request, failed)
        if message is None or request.model in self._answered:
            return None
        self._refused[request.model] += 1
        return self._hide(message) if self._refused[request.model] >= _MOST_REFUSED else None

    def too_many(self, failed: Failed, words: str) -> str | None:
        """Count a failure; return the message where the server counts as down, else None."""
        # What is wrong with a request says nothing about the server, good or bad.
        self._in_a_row += failed.servers
        if self._in_a_row < self._most_in_a_row:
            return None
        return _DOWN.format(n=self._in_a_row, server=self._server, words=words)

    def _no_longer(self, request: Request, failed: Failed) -> str | None:
        dialect = self._dialects.get(request.model)
        field = no_longer_taken(failed.error, dialect, request.body)
        if field is None:
            return None
        self._changed.add(request.model)
        said = faults.said(failed.error)
        return _CHANGED.format(server=self._server, field=field, model=request.model, said=said)

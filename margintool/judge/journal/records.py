"""What a journal tells: the records that its methods take and return. No SQL here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from margintool.judge.item import Reply, Request, Verdict

# Answered, readable or not; waiting to be sent; sent in a batch that is still open.
State = Literal["answered", "waiting", "in_batch"]


@dataclass(frozen=True)
class Failure:
    """A request that got no reply: it is kept to be sent again.

    Args:
        key: the request's key.
        error: what the server or the connection said, without secrets.
        attempts: how often it was sent.
    """

    key: str
    error: str
    attempts: int = 1


@dataclass(frozen=True)
class Stored:
    """What the journal holds for one key.

    Args:
        verdict: what was read in its reply; None where there is no reply.
        error: why there is none, where it was sent and failed.
    """

    verdict: Verdict | None
    error: str | None = None


@dataclass(frozen=True)
class StoredRow:
    """One request with all that came of it.

    Args:
        request: what was asked.
        reply: the answer, or None.
        error: the last error of a request without a reply.
        by_batch: whether the reply came through the Batch API, at its price.
    """

    request: Request
    reply: Reply | None
    error: str | None
    by_batch: bool


@dataclass(frozen=True)
class Usage:
    """What a model's stored replies used, by the server's own count.

    Args:
        requests: number of replies.
        prompt_tokens, completion_tokens: sums over the replies that tell them.
        untold: replies for which the server told no usage.
    """

    requests: int
    prompt_tokens: int
    completion_tokens: int
    untold: int = 0


@dataclass(frozen=True)
class Aside:
    """What was used for questions that a journal does not keep: how a server wants to be asked.

    Args:
        model: the judge.
        used: of the questions that were answered.
        unseen: tries that the server may have been paid for though no readable reply came.
        dollars: the most that all this may have cost; 0 where no limit had to be kept.
    """

    model: str
    used: Usage
    unseen: int = 0
    dollars: float = 0.0


@dataclass(frozen=True)
class Counts:
    """How far a journal is.

    Args:
        planned: requests in the journal.
        answered: those with a reply, readable or not.
        failed: those that were sent, have no reply and keep an error.
        waiting: those to be sent: no reply, not in an open batch. Failed ones are among them.
        in_batches: those without a reply in an open batch.
        unreadable: replies without a value, by reason (item.REASONS).
        by_model: the same for each model.
    """

    planned: int = 0
    answered: int = 0
    failed: int = 0
    waiting: int = 0
    in_batches: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    by_model: Mapping[str, "Counts"] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchRow:
    """One file of requests given, or about to be given, to the Batch API.

    Args:
        id: its number in this journal, in order of creation.
        model: the judge; a batch has one.
        requests: how many it holds.
        served_by: the base URL.
        state: `new`, then what judge/batch.py and the server say.
        open: whether its unanswered requests are held back from being sent otherwise.
        sha256: of the file's bytes.
        input_file_id, batch_id, output_file_id, error_file_id: the server's ids.
        error: what went wrong.
    """

    id: int
    model: str
    requests: int
    served_by: str
    state: str
    open: bool
    sha256: str | None
    input_file_id: str | None
    batch_id: str | None
    output_file_id: str | None
    error_file_id: str | None
    error: str | None

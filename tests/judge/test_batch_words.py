"""What the commands say about batches."""

from margintool.judge.batch import words as batch_words
from margintool.judge.batch.collect import CollectOutcome
from margintool.judge.batch.reader import RowCounts
from margintool.judge.batch.status import BatchStatus
from margintool.judge.batch.submit import SubmitOutcome
from margintool.judge.journal.journal import BatchRow


def _row(state: str = "completed", *, error: str | None = None) -> BatchRow:
    return BatchRow(
        3, "judge", 1200, "http://judge/v1", state, True, None, "f", "batch_9", None, None, error
    )


def test_submitted() -> None:
    outcome = SubmitOutcome([_row()], recovered=1, elsewhere=[_row()], too_large=2)
    assert batch_words.submitted(outcome) == [
        "batch 3: 1,200 requests to judge (batch_9)",
        "of these 1 had been begun by an interrupted run",
        "2 requests left out: each is over the limit of bytes by itself",
        "batch 3: given to http://judge/v1; name that with --base-url",
    ]
    assert batch_words.submitted(SubmitOutcome()) == ["nothing to submit: no request waits"]


def test_told() -> None:
    assert batch_words.told(BatchStatus(_row(), "in_progress", 10, 2)) == (
        "batch 3: in_progress; 1,200 requests to judge, 10 answered, 2 failed"
    )
    assert batch_words.told(BatchStatus(_row(), "failed", 0, 0, "line 1: bad")) == (
        "batch 3: failed (line 1: bad); 1,200 requests to judge, 0 answered"
    )
    assert "--base-url" in batch_words.told(BatchStatus(_row(), "elsewhere"))


def test_collected() -> None:
    outcome = CollectOutcome(
        collected=[_row("failed", error="bad file")],
        running=[_row("in_progress")],
        lost=[_row()],
        abandoned=[_row("abandoned")],
        rows=RowCounts(stored=5, failed=2, malformed=1),
    )
    assert batch_words.collected(outcome) == [
        "batch 3: failed (bad file)",
        "batch 3: given up; its requests wait again",
        "batch 3: still in_progress",
        "batch 3 (batch_9): the server does not know it, or no longer has its files. Is this its "
        "API key? If it is gone, --abandon 3 lets its 1,200 requests wait again; those with a "
        "reply keep it",
        "5 replies stored",
        "2 requests without a reply; they wait again",
        "1 lines that could not be read",
    ]
    assert batch_words.collected(CollectOutcome()) == ["nothing to collect: no batch is open"]

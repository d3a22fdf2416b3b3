"""What `judge submit`, `status` and `collect` say. Read by the command line."""

from margintool.judge.batch.collect import CollectOutcome
from margintool.judge.batch.status import BatchStatus
from margintool.judge.batch.submit import SubmitOutcome
from margintool.judge.journal.journal import BatchRow

# States of a batch that are not the server's; its own are in openai.types.Batch.status.
STATES: dict[str, str] = {
    "new": "noted, not uploaded: `judge submit` or `judge collect` goes on with it",
    "uploaded": "uploaded, not known to be created: `judge submit` or `judge collect` goes on",
    "refused": "not taken by the server; its requests wait again",
    "unknown": "the server knows no such batch: is this its API key? If the batch is gone, "
    "`judge collect --abandon NUMBER` lets its requests wait again",
    "elsewhere": "given to another server, see --base-url",
    "abandoned": "given up; its requests wait again",
}


def submitted(outcome: SubmitOutcome) -> list[str]:
    """Return what `submit` did, a line each."""
    lines = [
        f"batch {row.id}: {row.requests:,} requests to {row.model} ({row.batch_id})"
        for row in outcome.batches
    ]
    if outcome.recovered:
        lines.append(f"of these {outcome.recovered} had been begun by an interrupted run")
    if outcome.too_large:
        lines.append(
            f"{outcome.too_large:,} requests left out: each is over the limit of bytes by itself"
        )
    lines += [_elsewhere(row) for row in outcome.elsewhere]
    return lines or ["nothing to submit: no request waits"]


def told(found: BatchStatus) -> str:
    """Return a batch's line for `status`."""
    row = found.row
    done = "" if found.answered is None else f", {found.answered:,} answered"
    done += f", {found.failed:,} failed" if found.failed else ""
    words = found.errors or STATES.get(found.state)
    why = f" ({words})" if words else ""
    return f"batch {row.id}: {found.state}{why}; {row.requests:,} requests to {row.model}{done}"


def collected(outcome: CollectOutcome) -> list[str]:
    """Return what `collect` found, a line each."""
    lines = [_ended(row) for row in outcome.collected]
    lines += [f"batch {row.id}: {STATES['abandoned']}" for row in outcome.abandoned]
    lines += [f"batch {row.id}: still {row.state}" for row in outcome.running]
    lines += [_elsewhere(row) for row in outcome.elsewhere]
    lines += [_lost(row) for row in outcome.lost]
    lines += [_short(row) for row in outcome.short]
    rows = outcome.rows
    counts = [
        (rows.stored, "replies stored"),
        (rows.failed, "requests without a reply; they wait again"),
        (rows.malformed, "lines that could not be read"),
        (rows.unknown, "rows of other requests, left out"),
        (rows.repeated, "repeated rows, left out"),
    ]
    lines += [f"{count:,} {what}" for count, what in counts if count]
    return lines or ["nothing to collect: no batch is open"]


def _ended(row: BatchRow) -> str:
    return f"batch {row.id}: {row.state}" + (f" ({row.error})" if row.error else "")


def _elsewhere(row: BatchRow) -> str:
    return f"batch {row.id}: given to {row.served_by}; name that with --base-url"


def _lost(row: BatchRow) -> str:
    return (
        f"batch {row.id} ({row.batch_id}): the server does not know it, or no longer has its "
        f"files. Is this its API key? If it is gone, --abandon {row.id} lets its "
        f"{row.requests:,} requests wait again; those with a reply keep it"
    )


def _short(row: BatchRow) -> str:
    return (
        f"batch {row.id} ({row.batch_id}): its output came cut off; what was in it is stored. "
        f"Collect again to download the rest. If it stays so, --abandon {row.id} lets the "
        "requests without a reply wait again; they may be paid for a second time"
    )

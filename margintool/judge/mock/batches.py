"""Batches of the stand-in: their states, and the rows of their output and error files.

States and rows are OpenAI's (API reference, Batch and "request output object"):
validating -> in_progress -> finalizing -> completed or expired; failed after a bad input file;
cancelling -> cancelled. What a batch finished before it expired or was cancelled is in its
output file, the rest in its error file.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from margintool.judge.mock.answering import Answering
from margintool.judge.mock.batch_input import ENDPOINT, read_lines
from margintool.judge.mock.errors import ApiError, server_failed
from margintool.judge.mock.files import Files
from margintool.judge.mock.settings import Fate, MockOptions
from margintool.judge.mock.stats import Stats

_PATH = ("validating", "in_progress", "finalizing")
# Share of --batch-seconds after which each state of _PATH is over.
_ENDS = (0.25, 0.75, 1.0)
_UNDONE = {
    "batch_expired": "This request could not be executed before the completion window expired.",
    "batch_cancelled": "This request was not executed because the batch was cancelled.",
}
_ROWS_A_TURN = 100  # rows answered before other requests get a turn


@dataclass
class Batch:
    """A batch's Batch object and what its file holds."""

    seen: dict[str, Any]
    fate: Fate
    rows: list[dict[str, Any]] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def status(self) -> str:
        """The status in OpenAI's words."""
        return str(self.seen["status"])

    def enter(self, status: str) -> None:
        """Go into a status and write down when."""
        self.seen["status"] = status
        if status != "validating":
            self.seen[f"{status}_at"] = int(time.time())


class Batches:
    """The batches by id, oldest first.

    Args:
        options: pace, fate, limits.
        answering: answers each row.
        stats: counts them.
        files: holds inputs and outputs.
    """

    def __init__(
        self, options: MockOptions, answering: Answering, stats: Stats, files: Files
    ) -> None:
        self._options = options
        self._answering = answering
        self._stats = stats
        self._files = files
        self._batches: dict[str, Batch] = {}

    def create(self, asked: Any) -> Batch:
        """Start a batch.

        Raises:
            ApiError: 400 or 404, if the body or the input file is not what it must be.
        """
        if not isinstance(asked, dict) or asked.get("endpoint") != ENDPOINT:
            raise ApiError(400, f"endpoint must be {ENDPOINT}.", param="endpoint")
        if asked.get("completion_window") != "24h":
            raise ApiError(400, "completion_window must be 24h.", param="completion_window")
        source = self._files.get(str(asked.get("input_file_id")))
        if source.purpose != "batch":
            raise ApiError(400, "The file's purpose must be batch.", param="input_file_id")
        now, name = int(time.time()), f"batch_mock{len(self._batches) + 1}"
        seen = {
            "id": name,
            "object": "batch",
            "endpoint": ENDPOINT,
            "errors": None,
            "input_file_id": source.id,
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": now,
            "expires_at": now + 24 * 3600,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
        }
        fate = "completed" if self._batches else self._options.batch_fate
        self._batches[name] = batch = Batch(seen, fate)
        return batch

    def get(self, name: str) -> Batch:
        """Return a batch.

        Raises:
            ApiError: 404, if there is none.
        """
        if name not in self._batches:
            raise ApiError(404, f"No batch found with id '{name}'.")
        return self._batches[name]

    def all(self) -> list[Batch]:
        """Return every batch, newest first."""
        return list(reversed(self._batches.values()))

    def cancel(self, batch: Batch) -> None:
        """Start to cancel.

        Raises:
            ApiError: 409, if the batch has ended or is being cancelled.
        """
        if batch.status not in _PATH:
            raise ApiError(409, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.enter("cancelling")

    async def look(self, batch: Batch) -> None:
        """Let a batch move on: by one state, or as far as --batch-seconds says."""
        async with batch.lock:
            if batch.status == "cancelling":
                await self._end(batch, "cancelled")
            elif self._options.batch_seconds is None:
                await self._step(batch)
            else:
                age = time.time() - batch.seen["created_at"]
                while batch.status in _PATH and age >= self._ends_after(batch.status):
                    await self._step(batch)

    def _ends_after(self, status: str) -> float:
        return _ENDS[_PATH.index(status)] * (self._options.batch_seconds or 0.0)

    async def _step(self, batch: Batch) -> None:
        if batch.status == "validating":
            self._validate(batch)
        elif batch.status == "in_progress":
            batch.enter("finalizing")
        elif batch.status == "finalizing":
            await self._end(batch, batch.fate)

    def _validate(self, batch: Batch) -> None:
        source = self._files.get(batch.seen["input_file_id"])
        batch.rows, errors = read_lines(source.data, self._options.batch_max_requests)
        if batch.fate == "failed" and not errors:
            text = "Enqueued token limit reached. Please try again once some batches are done."
            errors = [
                {"code": "token_limit_exceeded", "message": text, "line": None, "param": None}
            ]
        if errors:
            batch.seen["errors"] = {"object": "list", "data": errors}
            batch.enter("failed")
            return
        batch.seen["request_counts"]["total"] = len(batch.rows)
        batch.enter("in_progress")

    async def _end(self, batch: Batch, status: str) -> None:
        """Answer the rows, write both files, and enter the last status."""
        undone = f"batch_{status}" if f"batch_{status}" in _UNDONE else None
        # The first half, rounded up, so that sending the rest again comes to an end.
        done = (len(batch.rows) + 1) // 2 if undone else len(batch.rows)
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for i, row in enumerate(batch.rows):
            if i % _ROWS_A_TURN == 0:
                await asyncio.sleep(0)
            if i >= done and undone:
                error = {"code": undone, "message": _UNDONE[undone]}
                bad.append(_row(batch, i, response=None, error=error))
            else:
                self._answer_row(batch, i, row, good, bad)
        batch.seen["output_file_id"] = self._written(batch, "output", good)
        batch.seen["error_file_id"] = self._written(batch, "error", bad)
        batch.seen["request_counts"] |= {"completed": len(good), "failed": len(bad)}
        batch.enter(status)

    def _answer_row(
        self,
        batch: Batch,
        i: int,
        row: dict[str, Any],
        good: list[dict[str, Any]],
        bad: list[dict[str, Any]],
    ) -> None:
        answering = self._answering
        try:
            question = answering.read(row["body"])
            fault = answering.plan.batch_error(question.key, answering.attempt(question, "batch"))
            if fault == "error":
                raise server_failed()
        except ApiError as refused:
            response = _response(i, refused.status, refused.body)
            bad.append(_row(batch, i, response=response, error=None))
            return
        if fault == "request_timeout":
            error = {"code": fault, "message": "The model timed out."}
            bad.append(_row(batch, i, response=None, error=error))
            return
        reply, content_fault = answering.answer(question, row["body"])
        good.append(_row(batch, i, response=_response(i, 200, reply), error=None))
        self._stats.count_in_batch(question.message, content_fault)

    def _written(self, batch: Batch, kind: str, rows: list[dict[str, Any]]) -> str | None:
        """Keep the rows as a file and return its id; no file where there are none."""
        if not rows:
            return None
        # Not in the order of the input: who joins by position must fail here as there.
        rows.sort(key=lambda row: blake2b(row["custom_id"].encode(), digest_size=8).digest())
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        return self._files.add(data, f"{batch.seen['id']}_{kind}.jsonl", "batch_output").id


def _row(batch: Batch, i: int, *, response: Any, error: Any) -> dict[str, Any]:
    return {
        "id": f"batch_req_mock{i + 1}",
        "custom_id": batch.rows[i]["custom_id"],
        "response": response,
        "error": error,
    }


def _response(i: int, status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": status, "request_id": f"req_mock{i + 1}", "body": body}

"""Sums over a journal: what was spent, how far it is. Part of `Journal`; reads only."""

from collections import defaultdict

from margintool.judge.journal.batches import BatchTables
from margintool.judge.journal.records import Counts, Usage
from margintool.judge.journal.schema import IS_WAITING
from margintool.judge.task import Mode, Task


class Tallies(BatchTables):
    """The part of a journal that counts."""

    def spent(self, *, by_batch: bool | None = None) -> dict[str, Usage]:
        """Return what the stored replies used, those set aside among them, by model.

        Args:
            by_batch: only replies that came through the Batch API, or only those that did not.
        """
        where = {None: "", True: "WHERE a.batch IS NOT NULL", False: "WHERE a.batch IS NULL"}
        found = self.rows(
            "SELECT r.model, count(*), total(a.prompt_tokens), total(a.completion_tokens), "
            "total(a.prompt_tokens IS NULL OR a.completion_tokens IS NULL) "
            "FROM (SELECT * FROM replies UNION ALL SELECT * FROM set_aside) AS a "
            "JOIN requests AS r ON r.id = a.request "
            f"{where[by_batch]} GROUP BY r.model ORDER BY r.model"
        )
        return {model: Usage(*map(int, sums)) for model, *sums in found}

    def count_in_batches(self, *, wanted_only: bool) -> int:
        """Return how many requests without a reply are in open batches."""
        wanted = "AND r.id IN (SELECT request FROM temp.wanted)" if wanted_only else ""
        found = self.rows(
            "SELECT count(*) FROM batch_requests AS m JOIN batches AS b ON b.id = m.batch "
            "JOIN requests AS r ON r.id = m.request LEFT JOIN replies AS a ON a.request = r.id "
            f"WHERE b.open AND a.request IS NULL {wanted}"
        )
        return int(found[0][0])

    def answered_by(self) -> dict[str, dict[str, int]]:
        """Return how many replies to this run's questions each server gave: model -> address."""
        found = self.rows(
            "SELECT r.model, a.served_by, count(*) FROM temp.wanted AS w "
            "CROSS JOIN replies AS a ON a.request = w.request "
            "CROSS JOIN requests AS r ON r.id = w.request GROUP BY 1, 2 ORDER BY 1, 2"
        )
        by_model: dict[str, dict[str, int]] = defaultdict(dict)
        for model, server, number in found:
            by_model[model][server] = number
        return dict(by_model)

    def reply_tokens(self) -> dict[tuple[str, Mode], float]:
        """Return the mean of the replies' tokens by model and mode, where servers told them."""
        found = self.rows(
            "SELECT r.model, t.json, count(*), total(a.completion_tokens) FROM replies AS a "
            "JOIN requests AS r ON r.id = a.request JOIN tasks AS t ON t.id = r.task "
            "WHERE a.completion_tokens IS NOT NULL GROUP BY r.model, r.task"
        )
        sums: dict[tuple[str, Mode], list[float]] = defaultdict(lambda: [0, 0])
        for model, task, number, tokens in found:
            of_both = sums[model, Task.from_json(task).mode]
            of_both[0] += number
            of_both[1] += tokens
        return {key: tokens / number for key, (number, tokens) in sums.items()}

    def counts(self) -> Counts:
        """Return how far the journal is, in all and by model."""
        found = self.rows(
            "SELECT r.model, count(*), count(a.request), count(f.request), "
            f"total(a.request IS NULL AND {IS_WAITING}) FROM requests AS r "
            "LEFT JOIN replies AS a ON a.request = r.id "
            "LEFT JOIN failures AS f ON f.request = r.id GROUP BY r.model ORDER BY r.model"
        )
        reasons = self._unreadable()
        by_model = {
            model: Counts(
                planned,
                answered,
                failed,
                int(waiting),
                planned - answered - int(waiting),
                reasons.get(model, {}),
            )
            for model, planned, answered, failed, waiting in found
        }
        return _total(by_model)

    def _unreadable(self) -> dict[str, dict[str, int]]:
        found = self.rows(
            "SELECT r.model, a.reason, count(*) FROM replies AS a "
            "JOIN requests AS r ON r.id = a.request WHERE a.reason IS NOT NULL "
            "GROUP BY r.model, a.reason ORDER BY r.model, a.reason"
        )
        by_model: dict[str, dict[str, int]] = defaultdict(dict)
        for model, reason, number in found:
            by_model[model][reason] = number
        return by_model


def _total(by_model: dict[str, Counts]) -> Counts:
    parts = by_model.values()
    unreadable: dict[str, int] = defaultdict(int)
    for part in parts:
        for reason, number in part.unreadable.items():
            unreadable[reason] += number
    return Counts(
        sum(part.planned for part in parts),
        sum(part.answered for part in parts),
        sum(part.failed for part in parts),
        sum(part.waiting for part in parts),
        sum(part.in_batches for part in parts),
        dict(unreadable),
        by_model,
    )

"""Replies of ended batches: joined by custom_id alone, stored once, the rest waits again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from margintool.judge.batch.collect import CollectOutcome, collect
from margintool.judge.batch.reader import RowCounts
from margintool.judge.batch.server import DOWNLOAD_TRIES
from margintool.judge.batch.submit import submit
from margintool.judge.batch.words import collected
from margintool.judge.item import Request, Verdict
from margintool.judge.journal.journal import Journal
from mmpo_core.errors import InputError
from tests.judge import batch_double
from tests.judge.batch_double import BatchDouble, never_run, refused
from tests.judge.batch_journal import key, parse, planned, requests, values


def answered(name: str) -> dict[str, object]:
    """Answer each request with its own number, so that a wrong join shows."""
    return batch_double.answered(name, str(int(name, 16)))


@pytest.fixture
def server() -> BatchDouble:
    return BatchDouble()


@pytest.fixture
def journal(tmp_path: Path, server: BatchDouble) -> Iterator[Journal]:
    """Five requests, given as one batch, batch_1."""
    with Journal.open(planned(tmp_path / "j.sqlite", requests(5)), write=True) as opened:
        submit(opened, server.client())
        yield opened


def _collect(journal: Journal, server: BatchDouble, **options: object) -> CollectOutcome:
    return collect(journal, server.client(), parse=parse, **options)  # type: ignore[arg-type]


def _waiting(journal: Journal) -> list[int]:
    return [int(request.key, 16) for request in journal.waiting(wanted_only=False)]


def _errors(journal: Journal) -> dict[int, str | None]:
    keys = [key(number) for number in range(5)]
    return {int(name, 16): found.error for name, found in journal.verdicts(keys).items()}


def test_replies_in_any_order_go_to_their_requests(journal: Journal, server: BatchDouble) -> None:
    server.finish("batch_1", [answered(key(number)) for number in (3, 0, 4, 2, 1)])
    outcome = _collect(journal, server)
    assert values(journal) == {key(number): float(number) for number in range(5)}
    assert outcome.rows == RowCounts(stored=5)
    assert [row.id for row in outcome.collected] == [1]
    assert journal.batches(open_only=True) == []


def test_a_reply_keeps_the_completion_its_usage_and_the_batch(
    journal: Journal, server: BatchDouble
) -> None:
    server.batches["batch_1"] |= {"created_at": 100, "completed_at": 160}
    server.finish("batch_1", [answered(key(0))])
    _collect(journal, server)
    (row,) = journal.replies()
    assert row.reply is not None
    assert json.loads(row.reply.raw) == batch_double.completion("0")
    assert (row.reply.prompt_tokens, row.reply.completion_tokens) == (100, 10)
    assert (row.reply.finish_reason, row.reply.served_by) == ("stop", "http://judge/v1")
    assert row.reply.seconds == 60.0
    assert row.by_batch


def test_a_missing_row_shifts_no_other_and_waits_again(
    journal: Journal, server: BatchDouble
) -> None:
    server.finish("batch_1", [answered(key(number)) for number in (0, 2, 3, 4)])
    outcome = _collect(journal, server)
    assert values(journal) == {key(number): float(number) for number in (0, 2, 3, 4)}
    assert outcome.rows == RowCounts(stored=4, failed=1)
    assert _waiting(journal) == [1]
    assert _errors(journal)[1] == "the batch ended as completed: no row for this request"


def test_error_rows_keep_their_message_and_wait_again(
    journal: Journal, server: BatchDouble
) -> None:
    rows = [answered(key(number)) for number in (0, 1, 2)]
    errors = [refused(key(3), 400, "too long"), never_run(key(4), "batch_cancelled")]
    server.finish("batch_1", rows, errors)
    outcome = _collect(journal, server)
    assert outcome.rows == RowCounts(stored=3, failed=2)
    assert _waiting(journal) == [3, 4]
    assert _errors(journal)[3] == "HTTP 400: too long"
    assert _errors(journal)[4] == "batch_cancelled: This request could not be executed."


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_a_batch_that_ended_early_keeps_what_it_did(
    journal: Journal, server: BatchDouble, status: str
) -> None:
    errors = [never_run(key(number), f"batch_{status}") for number in (2, 3, 4)]
    server.finish("batch_1", [answered(key(1)), answered(key(0))], errors, status=status)
    _collect(journal, server)
    assert values(journal) == {key(0): 0.0, key(1): 1.0}
    assert _waiting(journal) == [2, 3, 4]
    assert journal.batches()[0].state == status


def test_a_failed_batch_tells_why_and_lets_go_of_all(journal: Journal, server: BatchDouble) -> None:
    error = {"code": "invalid_json_line", "message": "not JSON", "line": 3, "param": None}
    server.batches["batch_1"]["errors"] = {"object": "list", "data": [error]}
    server.finish("batch_1", status="failed")
    outcome = _collect(journal, server)
    assert outcome.rows == RowCounts(failed=5)
    assert _waiting(journal) == [0, 1, 2, 3, 4]
    (row,) = journal.batches()
    assert (row.state, row.error) == ("failed", "line 3: invalid_json_line: not JSON")
    assert _errors(journal)[0] == f"the batch ended as failed: {row.error}"


def test_foreign_repeated_and_broken_lines_are_counted_and_harm_nothing(
    journal: Journal, server: BatchDouble
) -> None:
    again = batch_double.answered(key(1), "9")
    rows: list[dict[str, object] | bytes] = [
        answered(key(0)),
        b'{"custom_id": "' + key(2).encode() + b'", "respon',
        b"",
        answered(key(1)),
        again,
        answered(key(77)),
        answered(key(3)),
    ]
    server.finish("batch_1", rows, [refused(key(1), 500, "late"), refused(key(4), 500, "no")])
    outcome = _collect(journal, server)
    assert values(journal) == {key(0): 0.0, key(1): 1.0, key(3): 3.0}
    assert outcome.rows == RowCounts(stored=3, failed=2, unknown=1, repeated=1, malformed=1)
    assert _waiting(journal) == [2, 4]


def test_an_answer_after_an_error_row_counts(journal: Journal, server: BatchDouble) -> None:
    server.finish("batch_1", [refused(key(0), 500, "no"), answered(key(0))])
    _collect(journal, server)
    assert values(journal) == {key(0): 0.0}
    assert _errors(journal)[0] is None


def test_a_text_with_line_separators_is_one_row(journal: Journal, server: BatchDouble) -> None:
    """Raw U+2028 and U+0085 are legal within JSON, and ends of line for str.splitlines."""
    row = json.dumps(answered(key(0)) | {"note": "a\u2028b\x85c"}, ensure_ascii=False)
    server.finish("batch_1", [row.encode()])
    assert _collect(journal, server).rows == RowCounts(stored=1, failed=4)


@pytest.mark.parametrize("in_a_row", [False, True])
def test_an_output_that_comes_cut_off_is_downloaded_again(
    journal: Journal, server: BatchDouble, in_a_row: bool
) -> None:
    """Its missing rows were answered and paid for: they must not wait again."""
    server.finish("batch_1", [answered(key(number)) for number in range(5)])
    content = server.files["file-output-batch_1"][1]
    at = content.index(b"\n", content.index(b"\n") + 1) + 1 + (not in_a_row) * 30
    server.cut = [at]
    outcome = _collect(journal, server)
    assert outcome.rows == RowCounts(stored=5)
    assert [row.id for row in outcome.collected] == [1]


def test_an_output_that_stays_cut_off_leaves_its_batch_open(
    journal: Journal, server: BatchDouble
) -> None:
    server.finish("batch_1", [answered(key(number)) for number in range(5)])
    at = server.files["file-output-batch_1"][1].index(b"\n") + 30  # a row and a piece of one
    server.cut = [at] * DOWNLOAD_TRIES
    outcome = _collect(journal, server)
    assert (outcome.collected, [row.id for row in outcome.short]) == ([], [1])
    assert outcome.rows == RowCounts(stored=1, malformed=1)
    assert _waiting(journal) == []
    assert any("cut off" in line and "--abandon 1" in line for line in collected(outcome))
    outcome = _collect(journal, server)
    assert outcome.rows.stored == 4
    assert [row.id for row in outcome.collected] == [1]


def test_answers_without_an_output_file_are_waited_for(
    journal: Journal, server: BatchDouble
) -> None:
    server.finish("batch_1")
    server.batches["batch_1"]["request_counts"]["completed"] = 5
    outcome = _collect(journal, server)
    assert [row.id for row in outcome.short] == [1]
    assert _waiting(journal) == []


def test_a_last_row_without_a_newline_is_whole(journal: Journal, server: BatchDouble) -> None:
    server.finish("batch_1", [answered(key(number)) for number in range(5)])
    name, content = server.files["file-output-batch_1"]
    server.files["file-output-batch_1"] = (name, content.removesuffix(b"\n"))
    assert _collect(journal, server).rows == RowCounts(stored=5)


def test_a_running_batch_is_left_alone(journal: Journal, server: BatchDouble) -> None:
    server.batches["batch_1"]["status"] = "in_progress"
    outcome = _collect(journal, server)
    assert [row.id for row in outcome.running] == [1]
    assert _waiting(journal) == []
    assert journal.batches()[0].state == "in_progress"


def test_an_interrupted_collect_goes_on_and_stores_nothing_twice(
    journal: Journal, server: BatchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("margintool.judge.batch.reader.GROUP", 2)
    server.finish("batch_1", [answered(key(number)) for number in range(4)])
    parsed = []

    def dying(request: Request, body: object) -> Verdict:
        parsed.append(request.key)
        if len(parsed) == 3:
            raise KeyboardInterrupt
        return parse(request, body)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        collect(journal, server.client(), parse=dying)
    assert len(values(journal)) == 2
    outcome = collect(journal, server.client(), parse=dying)
    assert values(journal) == {key(number): float(number) for number in range(4)}
    assert outcome.rows == RowCounts(stored=2, failed=1)
    assert parsed == [key(0), key(1), key(2), key(2), key(3)]


def test_a_begun_batch_is_created_first(tmp_path: Path, server: BatchDouble) -> None:
    with Journal.open(planned(tmp_path / "b.sqlite", requests(2)), write=True) as journal:
        journal.new_batch([key(0), key(1)], "judge", served_by="http://judge/v1")
        outcome = _collect(journal, server)
        assert [row.batch_id for row in outcome.running] == ["batch_1"]
        assert server.keys("batch_1") == [key(0), key(1)]


@pytest.mark.parametrize("gone", ["batch", "file"])
def test_what_the_server_no_longer_has_is_held_until_it_is_abandoned(
    journal: Journal, server: BatchDouble, gone: str
) -> None:
    server.finish("batch_1", [answered(key(0))])
    if gone == "batch":
        del server.batches["batch_1"]
    else:
        del server.files["file-output-batch_1"]
    outcome = _collect(journal, server)
    assert [row.id for row in outcome.lost] == [1]
    assert _waiting(journal) == []
    outcome = _collect(journal, server, abandon=[1])
    assert [row.id for row in outcome.abandoned] == [1]
    assert _waiting(journal) == [0, 1, 2, 3, 4]
    assert journal.batches()[0].state == "abandoned"


def test_only_an_open_batch_can_be_abandoned(journal: Journal, server: BatchDouble) -> None:
    with pytest.raises(InputError, match=r"no open batch 7\. Open batches: 1"):
        _collect(journal, server, abandon=[7])


def test_only_the_named_batch_is_abandoned(tmp_path: Path, server: BatchDouble) -> None:
    with Journal.open(planned(tmp_path / "a.sqlite", requests(4)), write=True) as journal:
        submit(journal, server.client(), max_requests=2)
        outcome = _collect(journal, server, abandon=[2])
        assert [row.id for row in outcome.abandoned] == [2]
        assert [row.id for row in journal.batches(open_only=True)] == [1]
        assert _waiting(journal) == [2, 3]


def test_a_batch_of_another_server_is_left_alone(journal: Journal, server: BatchDouble) -> None:
    journal.update_batch(1, served_by="http://elsewhere/v1")
    outcome = _collect(journal, server)
    assert [row.id for row in outcome.elsewhere] == [1]
    assert server.calls["GET batches"] == 0


def test_failures_can_be_given_again_and_then_be_answered(
    journal: Journal, server: BatchDouble
) -> None:
    server.finish("batch_1", [answered(key(0))], [refused(key(1), 500, "no")])
    _collect(journal, server)
    submit(journal, server.client())
    assert server.keys("batch_2") == [key(1), key(2), key(3), key(4)]
    server.finish_all(answered)
    _collect(journal, server)
    assert values(journal) == {key(number): float(number) for number in range(5)}
    assert set(_errors(journal).values()) == {None}


def test_two_batches_are_not_mixed(tmp_path: Path, server: BatchDouble) -> None:
    """A row in the wrong batch's file is foreign there, though the journal knows its key."""
    with Journal.open(planned(tmp_path / "t.sqlite", requests(4)), write=True) as journal:
        submit(journal, server.client(), max_requests=2)
        server.finish("batch_1", [answered(key(number)) for number in range(4)])
        outcome = _collect(journal, server)
        assert outcome.rows == RowCounts(stored=2, unknown=2)
        assert sorted(values(journal)) == [key(0), key(1)]


def test_a_key_that_the_server_repeats_is_not_kept(tmp_path: Path, server: BatchDouble) -> None:
    secret = "sk-proj-0123456789abcdef"
    client = server.client().with_options(api_key=secret)
    path = planned(tmp_path / "k.sqlite", requests(2))
    with Journal.open(path, write=True) as journal:
        submit(journal, client)
        rows = [batch_double.answered(key(0), f"no {secret}")]
        server.finish("batch_1", rows, [refused(key(1), 401, f"bad key {secret}")])
        collect(journal, client)
        (row,) = journal.replies()
        assert row.reply is not None
        assert "no [API key]" in row.reply.raw
        assert journal.verdicts([key(1)])[key(1)].error == "HTTP 401: bad key [API key]"

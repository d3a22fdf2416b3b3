"""mt_bench(): questions to answers to ratings. READ THIS FIRST.

    from margintool.mt_bench.run import mt_bench
    mt_bench(model="tiny", data="question.jsonl", references="gpt-4.jsonl", judge_model="gpt-4o")

`margintool evaluate MODEL --suite mt-bench` is the same from the command line. What was generated
or judged before is in the folder and is not asked for again.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from margintool.mt_bench.options import MtBenchOptions, checked
from margintool.mt_bench.questions import (
    Question,
    Texts,
    answers_to,
    file_facts,
    load_answers,
    load_questions,
    references_for,
)
from margintool.mt_bench.results import MtBench, write_answers, write_report, write_rows
from margintool.progress import Progress, no_progress
from mmpo_core.errors import InputError
from mmpo_core.options import takes_options

if TYPE_CHECKING:
    from margintool.judge.cost.estimate import Estimate
    from margintool.judge.item import Item

GENERATED = "generated.jsonl"


@takes_options(MtBenchOptions)
def mt_bench(options: MtBenchOptions) -> MtBench:
    """Answer MT-bench's questions with a model and let judges rate the answers.

    Takes the fields of MtBenchOptions as keywords.

    Raises:
        InputError: for options, files and models that cannot be used.
        UnfinishedError: if a server stopped answering; what came is kept.
    """
    return run_mt_bench(options)


def run_mt_bench(options: MtBenchOptions, progress: Progress = no_progress) -> MtBench:
    """Run MT-bench; see `mt_bench`.

    Args:
        options: as given.
        progress: told of answers and ratings.
    """
    from margintool.mt_bench.rating import items, judging_of, rate
    from margintool.mt_bench.table import table
    from mmpo_core.run_folder import check_writable

    options = checked(options)
    judging = judging_of(options) if options.judge_model else None
    questions = load_questions(options.data)
    # before anything is generated: a missing reference must not show after hours
    references = references_for(questions, options.references) if judging is not None else []
    check_writable(options.folder)
    about, answers = _answers(options, questions, progress)
    if judging is None:
        return MtBench(options.folder, None, None)
    judged = items(questions, answers, references)
    rated = rate(judging, judged, progress)
    found = table(
        rated.rating,
        [question.category for question in questions],
        bootstrap=options.bootstrap,
        seed=options.seed,
    )
    write_rows(options.folder, judging.models, questions, judged, rated)
    report = write_report(options, judging, about, found, rated)
    outcome = rated.outcome
    return MtBench(
        options.folder, report, found, outcome.lines(), outcome.unfinished, outcome.status
    )


def estimated_mt_bench(options: MtBenchOptions) -> "Estimate":
    """Return what judging given answers would send and cost. Nothing is sent or written.

    Raises:
        InputError: for options and files that cannot be used.
    """
    from margintool.mt_bench.rating import estimated, judging_of

    options = checked(options)
    return estimated(judging_of(options), _given_items(options))


def _given_items(options: MtBenchOptions) -> "list[Item]":
    from margintool.mt_bench.rating import items

    if options.answers is None:
        raise InputError("only --answers can be estimated")
    questions = load_questions(options.data)
    answers = answers_to(questions, load_answers(options.answers), options.answers)
    return items(questions, answers, references_for(questions, options.references))


def _answers(
    options: MtBenchOptions, questions: Sequence[Question], progress: Progress
) -> tuple[dict[str, Any], list[Texts]]:
    """Return what answered, for mt_bench.json, and its answers.

    Those that are generated are in FastChat's form too.
    """
    if options.answers is not None:
        given = load_answers(options.answers)
        about = {"model": given.model or options.model, "answers": file_facts(options.answers)}
        return about, answers_to(questions, given, options.answers)
    from margintool.mt_bench.answering import generate

    made = generate(options, questions, options.folder / GENERATED, progress)
    answers = made.texts()
    write_answers(options.folder, options.model, questions, answers)
    settings = {"max_new_tokens": options.max_new_tokens, "seed": options.seed}
    return {"model": options.model, "answers": {**made.facts(), **settings}}, answers

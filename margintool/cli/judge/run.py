"""`margintool judge run`: questions to judges, replies to the journal. See judge_runs.py."""

from margintool.cli.from_options import Given, command_from
from margintool.judge.options import JudgeOptions, ServerOptions
from margintool.score_options import AskOptions
from mmpo_core.errors import UnfinishedError

HELP = """Ask judges about answers and keep every request and reply in a journal.

Example: margintool judge run pairs.journal.sqlite --input pairs.jsonl --judge-model gpt-4o

Without --input, all that still waits in the journal is sent. Interrupted, or killed, the same
command goes on: only requests without a stored reply are sent. `margintool score --source gpt4`
with the same questions makes margins of the replies. Exit status 1 where a request has failed.
"""
JUDGE_HEADING = "Judges"
HEADINGS: dict[type, str] = {JudgeOptions: JUDGE_HEADING, ServerOptions: JUDGE_HEADING}


def _run(given: Given) -> None:
    from margintool.cli.judge.printing import print_estimate, print_outcome
    from margintool.cli.progress import progress_bar
    from margintool.judge_runs import estimated_run, run_judge

    options = AskOptions(**given)
    with progress_bar() as progress:
        if options.dry_run:
            print_estimate(estimated_run(options))
            return
        outcome, counts = run_judge(options, progress)
    print_outcome(outcome, counts)
    if outcome.unfinished is not None:
        raise UnfinishedError(outcome.unfinished, outcome.status)


run_command = command_from(AskOptions, _run, help=HELP, positional=("journal",), headings=HEADINGS)

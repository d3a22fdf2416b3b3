"""`margintool score`: raw feedback to a pair file. The work is in margintool.pipeline."""

from margintool.cli.from_options import Given, command_from
from margintool.judge.options import JudgeOptions, ServerOptions
from margintool.score_options import ScoreOptions
from margintool.similarity.options import SimilarityOptions

HELP = """Turn ratings, votes, a judge's verdicts or similarity into pairs with margins (Parquet).

Example: margintool score --source shp --input votes.jsonl.gz --out pairs.parquet

With a judge: margintool score --source gpt4 --input pairs.jsonl --out pairs.parquet
--judge-model gpt-4o

Without any strength: margintool score --source similarity --input pairs.jsonl --out pairs.parquet

Rows that cannot be used go, with the reason, to a .rejects.parquet file beside the output.
"""
JUDGE_HEADING = "Options of --source gpt4"
HEADINGS: dict[type, str] = {
    SimilarityOptions: "Options of --source similarity",
    JudgeOptions: JUDGE_HEADING,
    ServerOptions: JUDGE_HEADING,
}


def _run(given: Given) -> None:
    from margintool.cli.judge.printing import print_estimate
    from margintool.cli.progress import progress_bar
    from margintool.cli.summary import print_summary
    from margintool.judging import estimated
    from margintool.pipeline import run_score

    options = ScoreOptions(**given)
    with progress_bar() as progress:
        if options.dry_run:
            print_estimate(estimated(options))
            return
        summary = run_score(options, progress)
    print_summary(summary)


score_command = command_from(ScoreOptions, _run, help=HELP, headings=HEADINGS)

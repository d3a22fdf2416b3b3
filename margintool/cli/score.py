"""`margintool score`: raw feedback to a pair file. The work is in margintool.pipeline."""

from margintool.cli.from_options import Given, command_from
from margintool.score_options import ScoreOptions

HELP = """Turn ratings or votes into a Parquet file of preference pairs with margins.

Example: margintool score --source shp --input votes.jsonl.gz --out pairs.parquet

Rows that cannot be used go, with the reason, to a .rejects.parquet file beside the output.
"""


def _run(given: Given) -> None:
    from margintool.cli.progress import progress_bar
    from margintool.cli.summary import print_summary
    from margintool.pipeline import run_score

    with progress_bar() as progress:
        summary = run_score(ScoreOptions(**given), progress)
    print_summary(summary)


score_command = command_from(ScoreOptions, _run, help=HELP)

"""`margintool evaluate MODEL --suite mt-bench`. The work is in margintool.mt_bench."""

from margintool.cli.from_options import Given, options_of
from margintool.cli.json_output import print_json
from margintool.mt_bench.options import FIXED, MtBenchOptions
from mmpo_core.errors import InputError, UnfinishedError

# Options that `evaluate` has without a suite too.
READS = (
    *("data", "out", "dtype", "device", "trust_remote_code", "revision"),
    *("bootstrap", "seed", "json"),
)
OPTIONS = options_of(MtBenchOptions, without=("model", *FIXED, *READS))


def run(given: Given) -> None:
    """Run MT-bench with what was given on the command line.

    Raises:
        InputError: for options, files and models that cannot be used.
        UnfinishedError: if asking stopped before its end, or requests to a judge failed.
    """
    from margintool.cli.judge.printing import print_estimate
    from margintool.cli.progress import progress_bar
    from margintool.cli.train_summary import log_lines
    from margintool.mt_bench.run import estimated_mt_bench, run_mt_bench

    models, as_json = given.pop("models"), given.pop("json", False)
    if len(models) != 1:
        raise InputError(
            f"suite mt-bench takes one model, got {len(models)}. Give the command once for each, "
            "with an --out of its own"
        )
    options = MtBenchOptions(model=models[0], **given)
    with log_lines(), progress_bar() as progress:
        if options.dry_run:
            print_estimate(estimated_mt_bench(options))
            return
        found = run_mt_bench(options, progress)
    if as_json:
        print_json(found.report)
    else:
        from margintool.mt_bench.text import print_mt_bench

        print_mt_bench(found)
    if found.unfinished is not None:
        raise UnfinishedError(found.unfinished, found.status)

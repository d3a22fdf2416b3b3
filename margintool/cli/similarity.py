"""`margintool similarity ...`: models of how alike answers are. The work is in similarity/fit/."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from margintool.cli.from_options import Given, command_from
from margintool.similarity.fit.options import FitOptions

if TYPE_CHECKING:
    from margintool.similarity.fit.fitting import FitResult

HELP = """Fit a similarity model to known margins, so that its distance predicts them.

Example: margintool similarity fit --pairs scored.parquet --out similarity-model

Prompts are split in three: the model is fitted to some, its best checkpoint is chosen on others,
and what is reported was measured on the rest, before and after. Use the model with
`margintool score --source similarity --similarity-model similarity-model`.
"""


def _run(given: Given) -> None:
    from margintool.cli.progress import progress_bar
    from margintool.cli.summary import print_rows
    from margintool.similarity.fit.fitting import run_fit

    with progress_bar() as progress:
        result = run_fit(FitOptions(**given), progress)
    print_rows(_rows(result))


def _rows(result: "FitResult") -> Iterator[tuple[str, str]]:
    from margintool.similarity.fit.words import LABELS, estimate_words

    record = result.record
    found, largest = record["figures"], record["target"]["largest"]
    best = max(entry["spearman"] for entry in record["validation"])
    yield "fitted", f"{record['kind']} from {record['base']['model']}"
    yield (
        "steps",
        f"{record['steps']:,}; the best was {record['best_step']:,} (validation Spearman "
        f"{best:+.3f})",
    )
    yield "time", f"{record['seconds']:.0f} s on {record['device']}"
    for name, counts in record["split"].items():
        yield name, "{pairs:,} pairs of {prompts:,} prompts, {ties:,} ties".format(**counts)
    yield "target", f"distance = margin_raw / {largest:.4g}, at most 1"
    yield "", "Test pairs: correlation of distance and margin_raw, 95% interval over prompts"
    for name, label in LABELS.items():
        if name in found:
            yield label, _correlations(found[name], estimate_words)
    yield "after - before", _correlations(found["before"]["gain"], estimate_words)
    for sentence in record["verdict"]:
        yield "", sentence
    for note in record["notes"]:
        yield "note", note
    yield "model", str(result.folder)
    yield "to use it", _use(result)


def _correlations(estimates: Any, words: Callable[[Any], str]) -> str:
    return f"Spearman {words(estimates['spearman'])}  Pearson {words(estimates['pearson'])}"


def _use(result: "FitResult") -> str:
    options = result.record["options"]
    metric = " --metric cross-encoder" if options["cross_encoder"] else ""
    prompt = " --with-prompt" if options["with_prompt"] else ""
    return (
        f"margintool score --source similarity --similarity-model {result.folder}{metric}{prompt}"
    )


fit_command = command_from(FitOptions, _run, help=HELP)

# name -> (command, its line in `margintool similarity --help`)
SIMILARITY_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "fit": (fit_command, "A similarity model fitted to known margins"),
}

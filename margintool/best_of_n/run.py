"""best_of_n(): prompts to candidates to rewards to picks. READ THIS FIRST.

    from margintool.best_of_n.run import best_of_n
    best_of_n(prompts="prompts.jsonl", policy="tiny", reward=("runs/reward",), n=16)

`margintool best-of-n` is the same from the command line. Answers and rewards of an earlier call are
not computed again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from margintool.best_of_n.calibration import temperatures_of
from margintool.best_of_n.options import BestOfNOptions, checked
from margintool.best_of_n.reading import Prompts, read_candidates, read_prompts
from margintool.best_of_n.results import GENERATED, PICTURE, RESULTS, ROWS, pick, write_rows
from margintool.progress import Bars, no_bars
from mmpo_core.errors import InputError
from mmpo_core.options import plain_values, takes_options


@dataclass(frozen=True)
class BestOfN:
    """What best-of-n came to.

    Attributes:
        folder: candidates.parquet, best_of_n.json, the picture and generated answers.
        report: the content of best_of_n.json.
    """

    folder: Path
    report: Mapping[str, Any]


@takes_options(BestOfNOptions)
def best_of_n(options: BestOfNOptions) -> BestOfN:
    """Answer prompts n times (or take given answers), score the answers and pick the best.

    Takes the fields of BestOfNOptions as keywords.

    Raises:
        InputError: for options, files and models that cannot be used.
        UnfinishedError: if a server stopped answering; what came is kept.
    """
    return run_best_of_n(options, no_bars)


def run_best_of_n(options: BestOfNOptions, bars: Bars) -> BestOfN:
    """Run best-of-n; `bars` gives what is told of reading and answering."""
    from mmpo_core.best_of_n.expected import check_labels, expected_rewards
    from mmpo_core.best_of_n.plot import plot_best_of_n
    from mmpo_core.best_of_n.scoring import candidate_rewards
    from mmpo_core.evaluate.models import find_models
    from mmpo_core.processes import refuse_several
    from mmpo_core.run_folder import check_writable, write_json
    from mmpo_core.run_record import versions

    options = checked(options)
    refuse_several("best-of-n")
    check_writable(options.out)
    _check_not_read(options)
    models = find_models(options.reward, options)
    check_labels(model.label for model in models)
    temperatures = temperatures_of(models, options.calibration)
    prompts, about = _candidates(options, bars)
    texts = [[one.text for one in answers] for answers in prompts.answers]
    rewards, scored = {}, {}
    for model, temperature in zip(models, temperatures, strict=True):
        rewards[model.label], how = candidate_rewards(model, prompts.conversations, texts, options)
        scored[model.label] = {**how, "temperature": temperature}
    picked = pick(rewards, temperatures)
    expected = expected_rewards(
        rewards,
        picked.win_probability if len(models) > 1 else None,
        resamples=options.bootstrap,
        seed=options.seed,
    )
    report = {
        "arguments": plain_values(options),
        "candidates": about,
        "rewards": scored,
        "picked": picked.about(rewards),
        "expected": expected,
        "versions": versions(),
    }
    (options.out / RESULTS).unlink(missing_ok=True)  # an earlier call's: of other rows
    write_rows(options.out / ROWS, prompts.conversations, prompts.answers, rewards, picked)
    plot_best_of_n(expected, options.out / PICTURE)
    write_json(options.out / RESULTS, report)  # last: with it the folder is whole
    return BestOfN(options.out, report)


def _candidates(options: BestOfNOptions, bars: Bars) -> tuple[Prompts, dict[str, Any]]:
    """Return prompts with their answers, given or made here, and what is said of them."""
    if options.candidates is not None:
        given = read_candidates(options, bars)
        number = sum(map(len, given.answers))
        counts = {"rows": given.rows, "prompts": len(given.conversations), "number": number}
        return given, {"file": options.candidates, **counts}
    from margintool.best_of_n.answering import make_answers

    prompts = read_prompts(options, bars)
    with bars() as progress:
        prompts.answers, facts = make_answers(
            options, prompts.conversations, options.out / GENERATED, progress
        )
    counts = {"rows": prompts.rows, "prompts": len(prompts.conversations)}
    return prompts, {"file": options.prompts, **counts, **facts}


def _check_not_read(options: BestOfNOptions) -> None:
    """Raise InputError if the rows would be written over the file that they come from."""
    read = options.candidates or options.prompts
    if read is not None and Path(read).resolve() == (options.out / ROWS).resolve():
        raise InputError(f"{read} is read and would be written over: choose another --out")

"""The options of best-of-n: name, default and help text, once. Those of models: PredictOptions."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

from mmpo_core.errors import InputError
from mmpo_core.evaluate.intervals import RESAMPLES, SEED
from mmpo_core.evaluate.options import PredictOptions, checked_options
from mmpo_core.hub import on_hub
from mmpo_core.models import resolve_model
from mmpo_core.run_options import Ranges, check_ranges


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """How candidates are made.

    Args:
        policy: Model that answers: a run's folder, a model's or an adapter's folder, a hub id, a
            short name, or with server_url the server's name for it.
        prompts: File, folder or dataset with a column prompt (text or messages) or messages, each
            ending with the user; a pair file will do; a prompt that repeats is taken once.
        candidates: Answers made elsewhere, in place of prompts and policy: a prompt and one answer
            a row (column response), or a list of answers a row (column responses).
        map: The input's own column names, as prompt=COLUMN,response=COLUMN.
        split: Split of a dataset with several.
        limit: Take the first so many prompts.
        n: Answers to each prompt.
        temperature: Temperature of the draws; logits are divided by it.
        top_p: Share of the probability, from the likeliest token down, that is drawn from.
        max_new_tokens: Most tokens of an answer.
        batch_size: Answers made at once.
        policy_revision: Branch, tag or commit of a policy on the hub.
        server_url: OpenAI-compatible server that has the policy, as http://localhost:8000/v1; the
            policy is loaded here if not given.
        server_key_file: File that holds that server's API key; OPENAI_API_KEY if not given.
        concurrency: Requests to the server in flight.
        timeout: Seconds to wait for an answer of the server.
        retries: Tries after the first for a request that fails (429, 5xx, time-out, reset).
    """

    policy: str | None = None
    prompts: str | None = None
    candidates: str | None = None
    map: str | None = None
    split: str | None = None
    limit: int | None = None
    n: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 512
    batch_size: int = 16
    policy_revision: str | None = None
    server_url: str | None = None
    server_key_file: str | None = None
    concurrency: int = 16
    timeout: float = 120.0
    retries: int = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestOfNOptions(AnswerOptions, PredictOptions):
    """Options of best-of-n, beside those of making answers and of running models.

    Args:
        reward: What scores: a reward model, or a policy, which scores by its implicit reward;
            repeat it for several.
        calibration: The evaluation.json in which `margintool evaluate` fitted the temperatures of
            the reward models on held-out pairs; repeat it for several files. 1 for all if not
            given.
        revision: Branch, tag or commit of reward models on the hub, not of their references.
        overlong: What to do with a candidate over max_length: cut its end, or stop.
        out: Folder for answers, scores, the table and the picture.
        bootstrap: Resamples of prompts behind the 95% intervals; 0 for none.
        seed: Seed of the answers and of the resamples.
    """

    reward: tuple[str, ...]
    calibration: tuple[str, ...] = ()
    revision: str | None = None
    overlong: Literal["truncate", "error"] = "truncate"
    out: Path = Path("best-of-n")
    bootstrap: int = RESAMPLES
    seed: int = SEED


_OF_GENERATION = [
    field.name
    for field in dataclasses.fields(AnswerOptions)
    if field.name not in ("candidates", "map", "split", "limit")
]
_LOCAL = ("batch_size", "policy_revision")
_REMOTE = ("server_key_file", "concurrency", "timeout", "retries")


def checked(options: BestOfNOptions) -> BestOfNOptions:
    """Return the options with every value in its field's type.

    Raises:
        InputError: for a wrong type, a value out of range, options that contradict each other.
    """
    options = checked_options(options)
    check_ranges(options, _RANGES)
    if not options.reward:
        raise InputError("reward: name a model that scores with --reward")
    twice = {name for name in options.reward if options.reward.count(name) > 1}
    if twice:
        raise InputError(f"reward {min(twice)} is given twice")
    _check_together(options)
    return options


def _check_together(options: BestOfNOptions) -> None:
    """Raise InputError for options that contradict each other or have no effect."""
    given = [name for name in _OF_GENERATION if _changed(options, name)]
    if options.candidates is not None:
        if given:
            raise InputError(
                f"{_flag(given[0])} has no effect with --candidates, which has the answers: leave "
                "it out"
            )
        return
    if options.prompts is None or options.policy is None:
        raise InputError(
            "give --prompts FILE and --policy MODEL to make answers, or --candidates FILE with "
            "answers made elsewhere"
        )
    useless, why = (
        (_REMOTE, "without --server-url")
        if options.server_url is None
        else (_LOCAL, "with --server-url")
    )
    for name in useless:
        if name in given:
            raise InputError(f"{_flag(name)} has no effect {why}: leave it out")
    if options.policy_revision is not None and not on_hub(resolve_model(options.policy)):
        raise InputError("--policy-revision is for a policy on the hub: leave it out")


def _changed(options: BestOfNOptions, name: str) -> bool:
    defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(AnswerOptions)}
    return bool(getattr(options, name) != defaults[name])


def _flag(name: str) -> str:
    return "-n" if name == "n" else f"--{name.replace('_', '-')}"


_RANGES: Ranges = {
    "n": (lambda v: v >= 2, "a whole number >= 2: with one answer there is nothing to pick"),
    "temperature": (
        lambda v: 0 < v < math.inf,
        "a number > 0: at 0 all answers to a prompt are the same",
    ),
    "top_p": (lambda v: 0 < v <= 1, "above 0 and at most 1"),
    "timeout": (lambda v: 0 < v < math.inf, "a number of seconds > 0"),
    "retries": (lambda v: v >= 0, "a whole number >= 0"),
    **{
        name: (lambda v: v >= 1, "a whole number >= 1")
        for name in ("limit", "max_new_tokens", "batch_size", "concurrency")
    },
}

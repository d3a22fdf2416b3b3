"""The options of MT-bench: name, default and help text, once. The judges' own are JudgeOptions."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from margintool.judge.options import JudgeOptions
from margintool.mt_bench.facts import QUESTIONS
from mmpo_core.errors import InputError
from mmpo_core.typed_values import typed

# Fields of JudgeOptions that MT-bench itself decides.
FIXED = ("mode", "reference", "rubric")


@dataclass(frozen=True, kw_only=True)
class MtBenchOptions(JudgeOptions):
    """What is answered by whom, and where it goes. Answers are judged if a judge is named.

    Args:
        model: Model that answers: a folder, an adapter's folder, a hub id, a short name, or with
            --server-url the server's name for it.
        data: Questions in FastChat's form (question_id, category, turns), or a dataset on the hub.
        references: Reference answers for math, reasoning and coding, in FastChat's form of
            answers: a judge is shown them.
        answers: Answers made elsewhere, in FastChat's form (question_id, model_id, choices): they
            are judged and nothing is generated.
        server_url: OpenAI-compatible server that has MODEL, as http://localhost:8000/v1; MODEL is
            loaded here if not given.
        server_key_file: File that holds that server's API key; OPENAI_API_KEY if not given.
        max_new_tokens: Most tokens of an answer.
        batch_size: Conversations that MODEL answers at once.
        out: Folder for answers, the judges' journal and the results.
        dtype: Type that MODEL's weights are loaded in; bfloat16 halves the memory.
        device: Where MODEL runs; auto takes a GPU where there is one.
        trust_remote_code: Run code that comes with a hub model.
        revision: Branch, tag or commit of MODEL on the hub.
        bootstrap: Resamples of questions behind the 95% intervals; 0 for none.
        seed: Seed of the answers and of the resamples.
        journal: File that keeps every request to a judge and its reply (SQLite);
            OUT/judge.journal.sqlite if not given.
    """

    model: str
    data: str | Path = QUESTIONS
    references: str | Path | None = None
    answers: str | Path | None = None
    server_url: str | None = None
    server_key_file: str | Path | None = None
    max_new_tokens: int = 1024
    batch_size: int = 16
    out: str | Path = "evaluation"
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu"] = "auto"
    trust_remote_code: bool = False
    revision: str | None = None
    bootstrap: int = 1000
    seed: int = 0
    journal: str | Path | None = None

    @property
    def folder(self) -> Path:
        """OUT as a path."""
        return Path(self.out)


_LEAST = {"max_new_tokens": 1, "batch_size": 1, "bootstrap": 0, "seed": 0}
_OF_LOADING = ("batch_size", "dtype", "device", "trust_remote_code", "revision")
_OF_GENERATION = ("server_url", "server_key_file", "max_new_tokens", *_OF_LOADING)


def checked(options: MtBenchOptions) -> MtBenchOptions:
    """Return the options with every value in its field's type.

    Raises:
        InputError: for a wrong type, a value out of range, options that contradict each other.
    """
    hints = get_type_hints(type(options))
    names = [field.name for field in fields(options)]
    options = replace(
        options,
        **{name: typed(getattr(options, name), hints[name], _flag(name)) for name in names},
    )
    for name, least in _LEAST.items():
        if getattr(options, name) < least:
            raise InputError(f"{_flag(name)} must be >= {least}, got {getattr(options, name)}")
    _check_together(options, _changed(options))
    return options


def _check_together(options: MtBenchOptions, given: Mapping[str, Any]) -> None:
    for name in FIXED:
        if name in given:
            raise InputError(f"{_flag(name)}: MT-bench has its own; leave it out")
    if options.answers is not None:
        useless = [name for name in _OF_GENERATION if name in given]
        if useless:
            raise InputError(f"{_flag(useless[0])} has no effect with --answers: leave it out")
        if not options.judge_model:
            raise InputError("--answers has answers to judge: name a judge with --judge-model")
    elif options.dry_run:
        raise InputError(
            "--dry-run says what judging costs, which depends on the answers: give --answers FILE "
            "(OUT/model_answer.jsonl, once they are generated)"
        )
    local = [name for name in _OF_LOADING if name in given]
    if options.server_url is not None and local:
        raise InputError(f"{_flag(local[0])} has no effect with --server-url: leave it out")
    if options.server_url is None and options.server_key_file is not None:
        raise InputError("--server-key-file has no effect without --server-url")


def _changed(options: MtBenchOptions) -> dict[str, Any]:
    return {
        field.name: getattr(options, field.name)
        for field in fields(options)
        if getattr(options, field.name) != field.default
    }


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"

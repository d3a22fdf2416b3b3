"""What `train` prints: log lines while it works, a summary at the end."""

import logging
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from margintool.cli.summary import print_rows

if TYPE_CHECKING:
    from mmpo_core.train_plan.plan import TrainPlan
    from mmpo_core.training_run import TrainResult


@contextmanager
def log_lines() -> Iterator[None]:
    """Show the training side's log lines on stderr; of several processes, those of the first."""
    logger = logging.getLogger("mmpo_core")
    # without any handler, warnings would be printed
    handler = logging.StreamHandler() if _is_first_process() else logging.NullHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def print_train_summary(result: "TrainResult") -> None:
    """Print steps, data, loss, accuracy and margin, where the model is, and what to do next."""
    if _is_first_process():
        print_rows(_rows(result), soft_wrap=True)


def print_sft_summary(result: "TrainResult") -> None:
    """Print steps, data, loss and perplexity, where the model is, and what to do next."""
    if _is_first_process():
        print_rows(_sft_rows(result), soft_wrap=True)


def print_plan(plan: "TrainPlan") -> None:
    """Print what a run would take."""
    from mmpo_core.train_plan.words import plan_rows

    print_rows(plan_rows(plan))


def _is_first_process() -> bool:
    """Whether this is the only process, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _rows(result: "TrainResult") -> Iterator[tuple[str, str]]:
    record = result.record
    arguments = record["arguments"]
    yield "trained", f"{arguments['model']} as {_task(arguments)}, {_steps(result)}"
    yield "time", _time(record)
    for split, report in record["data"].items():
        yield f"{split} pairs", _counts(report)
    if record["reference"] is not None:
        yield "reference", _reference(record["reference"])
    yield "training", _numbers(result.metrics, _TRAINING)
    if "eval_loss" in result.metrics:
        yield "held out", _numbers(result.metrics, _HELD_OUT)
        yield "calibration", _numbers(result.metrics, _CALIBRATION)
    yield from _model_rows(result, arguments["objective"])
    if "eval_loss" in result.metrics:
        yield "next", _evaluate(str(result.folder), arguments)


def _sft_rows(result: "TrainResult") -> Iterator[tuple[str, str]]:
    record = result.record
    yield "trained", f"{record['arguments']['model']} on conversations, {_steps(result)}"
    yield "time", _time(record)
    yield "conversations", _counts(record["data"])
    if record["eval_data"] is not None:
        yield "to evaluate on", _counts(record["eval_data"])
    for name, split in record["splits"].items():
        yield (
            name,
            (
                f"{split['conversations']:,} conversations, {split['assistant_tokens']:,} of "
                f"{split['tokens']:,} tokens the assistant's"
            ),
        )
    yield "training", _numbers(result.metrics, _SFT_TRAINING)
    if "eval_loss" in result.metrics:
        yield "held out", _numbers(result.metrics, _SFT_HELD_OUT)
    yield from _model_rows(result, "policy")
    yield "next", f"margintool train pairs.parquet --model {result.folder}"


def _model_rows(result: "TrainResult", objective: str) -> Iterator[tuple[str, str]]:
    kept = f"{result.folder} (also README.md, run.json, log_history.jsonl, train.png)"
    adapter = result.record["adapter"]
    if adapter is None:
        yield "model", kept
        yield "load it", _how_to_load(objective, str(result.folder))
    else:
        share = adapter["trainable_parameters"] / adapter["parameters"]
        yield "trained part", f"{adapter['trainable_parameters']:,} parameters ({share:.2%})"
        yield "adapter", kept
        yield "make a model", f"margintool merge {result.folder} --out FOLDER"


def _evaluate(folder: str, arguments: Mapping[str, Any]) -> str:
    """Return the command that measures a run on the pairs that it held out."""
    words = ["margintool", "evaluate", folder, "--data"]
    if arguments["eval_pairs"] is not None:
        return shlex.join([*words, str(arguments["eval_pairs"])])
    return shlex.join([*words, str(arguments["pairs"]), "--held-out"])


def _steps(result: "TrainResult") -> str:
    return f"{result.steps:,} step" + ("" if result.steps == 1 else "s")


def _task(arguments: Mapping[str, Any]) -> str:
    from mmpo_core.losses import OBJECTIVES

    objective, loss = arguments["objective"], arguments["loss"]
    reads = OBJECTIVES[objective][loss].reads
    unread = "" if reads else "; this loss does not read the margins"
    return f"a {objective}{' model' if objective == 'reward' else ''} (loss {loss}{unread})"


def _counts(report: Mapping[str, Any]) -> str:
    dropped = sum(report["dropped"].values())
    return f"{report['kept']:,}" + (f" ({dropped:,} dropped, see above)" if dropped else "")


def _time(record: Mapping[str, Any]) -> str:
    if record["resumed_from"] is not None:
        name = record["resumed_from"]
        return f"{record['seconds_since_resume']:.1f} s since {name} on {record['device']}"
    return f"{record['seconds']:.1f} s on {record['device']}"


def _reference(report: Mapping[str, int]) -> str:
    return f"{report['from_cache']:,} log-probs from cache, {report['computed']:,} computed"


# metric -> what it is called; a level pair counts one half in the held-out accuracy alone
_TRAINING = {"loss": "loss", "rewards/accuracies": "accuracy", "rewards/margins": "margin"}
_HELD_OUT = {"eval_loss": "loss", "eval_accuracy": "accuracy", "eval_rewards/margins": "margin"}
_SFT_TRAINING = {"loss": "loss", "perplexity": "perplexity"}
_SFT_HELD_OUT = {"eval_loss": "loss", "eval_perplexity": "perplexity"}
_CALIBRATION = {"eval_nll": "NLL", "eval_brier": "Brier", "eval_ece": "ECE"}


def _numbers(metrics: Mapping[str, float | None], names: Mapping[str, str]) -> str:
    return "  ".join(f"{short} {_number(metrics[name])}" for name, short in names.items())


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"


def _how_to_load(objective: str, folder: str) -> str:
    kind = "SequenceClassification" if objective == "reward" else "CausalLM"
    return f"transformers.AutoModelFor{kind}.from_pretrained({folder!r})"

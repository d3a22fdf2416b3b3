"""What a run shows while it works: a bar on a terminal, log lines elsewhere, no library noise.

Log lines go to the logger `mmpo_core.train` at level INFO; the command line shows them. Read by
train.py.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.utils import logging as transformers_logging

logger = logging.getLogger("mmpo_core.train")


class Bar(ProgressCallback):  # type: ignore[misc]
    """Trainer's progress bar with the latest numbers beside it, instead of dicts printed above."""

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any
    ) -> None:
        """Show the latest numbers."""
        if self.training_bar is not None:
            self.training_bar.set_postfix_str(log_line(logs))


class Lines(TrainerCallback):  # type: ignore[misc]
    """One line for each log entry, for output that is no terminal."""

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any
    ) -> None:
        """Write the line."""
        text = log_line(logs)
        if text and state.is_world_process_zero:
            logger.info("step %d/%d  %s", state.global_step, state.max_steps, text)


# metric -> what it is called; perplexity is of sft, margins and accuracy are of pairs
_TRAINING = {
    "loss": "loss",
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
    "perplexity": "perplexity",
}
# by the names of run.json, whose eval_accuracy counts ties one half
_HELD_OUT = {
    "eval_loss": "eval_loss",
    "eval_rewards/margins": "eval_margin",
    "eval_accuracy": "eval_accuracy",
    "eval_perplexity": "eval_perplexity",
}


def log_line(logs: dict[str, float]) -> str:
    """Return the numbers that matter of a log entry; empty if it has none of them."""
    names = _HELD_OUT if "eval_loss" in logs else _TRAINING
    return "  ".join(f"{short} {logs[name]:.4f}" for name, short in names.items() if name in logs)


def show_progress(trainer: Any) -> None:
    """Replace Trainer's own printing: a bar where it would draw one, else log lines."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Lines() if trainer.args.disable_tqdm else Bar())


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Let transformers print errors only, and no bars but ours; as it was afterwards."""
    before = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        if bars:
            transformers_logging.enable_progress_bar()

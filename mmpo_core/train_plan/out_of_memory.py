"""Out of memory: the plan's table, and the options that would help most.

Read by train.py and sft/train.py.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch

from mmpo_core.engine.batches import dataset_lengths
from mmpo_core.engine.memory import explained_out_of_memory
from mmpo_core.run_options import RunOptions
from mmpo_core.train_plan.plan import plan_of
from mmpo_core.train_plan.remedies import remedies
from mmpo_core.train_plan.words import memory_rows, size


def explained_by_plan(
    options: RunOptions, tokenizer: Any, splits: Mapping[str, Any], device: torch.device
) -> AbstractContextManager[None]:
    """Turn a lack of memory inside into an InputError that says what takes how much.

    Args:
        options: checked options.
        tokenizer: the model's.
        splits: split -> its pairs or conversations.
        device: where the run is.
    """
    return explained_out_of_memory(lambda: _explanation(options, tokenizer, splits, device))


def _explanation(
    options: RunOptions, tokenizer: Any, splits: Mapping[str, Any], device: torch.device
) -> str:
    plan = plan_of(options, tokenizer, splits, device)
    helpful = remedies(plan, tokenizer, dataset_lengths(splits["train"]), device)
    lines = ["What the run was reckoned to take:"]
    lines += [f"  {label:<15} {text}" for label, text in memory_rows(plan)]
    lines += (
        ["What would help most, each by itself:"]
        if helpful
        else ["No option would save memory here."]
    )
    flags = max((len(one.flag) for one in helpful), default=0)
    lines += [
        f"  {one.flag:<{flags}}  saves about {size(one.saves)} ({one.costs})" for one in helpful
    ]
    return "\n".join(lines)

"""A plan as lines of text: (label, text) rows. Read by the command line and out_of_memory.py."""

from collections.abc import Iterator
from typing import Any

from mmpo_core.train_plan.memory import Memory
from mmpo_core.train_plan.plan import TrainPlan, needs_reference

Row = tuple[str, str]
_CUT = {
    "prompts_cut": "prompts cut from the left",
    "completions_cut": "completions cut from the right",
}


def plan_rows(plan: TrainPlan) -> Iterator[Row]:
    """Return the plan: parameters, pairs, tokens, steps, reference, and memory by part."""
    options = plan.options
    yield "model", f"{options.model}, {options.objective}, loss {options.loss}"
    share = plan.trainable / plan.parameters
    yield "parameters", f"{plan.parameters:,}, {plan.trainable:,} of them trained ({share:.2%})"
    for split, report in plan.data.items():
        yield f"{split} pairs", _pairs(report)
    yield from _tokens(plan)
    yield from _steps(plan)
    yield "reference", _reference(plan)
    yield from memory_rows(plan)


def memory_rows(plan: TrainPlan) -> Iterator[Row]:
    """Return memory by part, and the total beside what the device has."""
    memory = plan.memory
    has = "" if plan.device_memory is None else f" ({plan.device} has {size(plan.device_memory)})"
    yield "memory", f"about {size(memory.total)} in each process{has}:"
    yield "  weights", size(memory.weights)
    yield "  gradients", size(memory.gradients)
    assumed = " (counted as AdamW's)" if memory.assumed else ""
    yield "  optimizer", size(memory.optimizer) + assumed
    if memory.reference:
        yield "  reference", size(memory.reference) + _when(memory)
    yield "  activations", f"{size(memory.activations)}, an estimate, of the largest micro-batch"


def size(count: int) -> str:
    """Return bytes with a unit, in powers of 1000: 1.26 GB."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"


def _when(memory: Memory) -> str:
    return "" if memory.reference_stays else ", gone before training starts"


def _pairs(report: dict[str, Any]) -> str:
    parts = [f"{report['kept']:,} of {report['read']:,} kept"]
    parts += [f"{count:,} dropped ({reason})" for reason, count in report["dropped"].items()]
    parts += [f"{report[name]:,} {what}" for name, what in _CUT.items() if report[name]]
    return "; ".join([*parts, f"longest conversation {report['longest']:,} tokens"])


def _tokens(plan: TrainPlan) -> Iterator[Row]:
    steps = plan.steps
    apart = f"{steps.tokens_apart:,} in the conversations of an epoch"
    if not plan.packed:
        yield "tokens", f"{apart}; {steps.tokens_padded:,} computed, in padded rows"
        return
    more = steps.tokens_padded / steps.tokens
    yield (
        "tokens",
        f"{apart}; {steps.tokens:,} computed, as prompts are shared and rows packed if the model "
        f"can; padded, {steps.tokens_padded:,} ({more:.2f} times as many)",
    )
    yield "longest pair", f"{plan.longest_pair:,} tokens: prompt and both answers"


def _steps(plan: TrainPlan) -> Iterator[Row]:
    steps, largest = plan.steps, plan.largest
    yield "steps", f"{steps.total:,} ({steps.per_epoch:,} an epoch) of {_batch(plan)}"
    yield (
        "forward passes",
        f"{steps.micro_batches:.1f} a step, {steps.rows:.1f} rows in all; the largest has "
        f"{largest.pairs:,} pair{'s' * (largest.pairs > 1)} in {largest.rows:,} x "
        f"{largest.width:,} tokens",
    )


def _batch(plan: TrainPlan) -> str:
    return f"{min(plan.options.batch_size, plan.data['train']['kept']):,} pairs"


def _reference(plan: TrainPlan) -> str:
    options = plan.options
    if not needs_reference(options):
        return "none is needed"
    name = options.reference or "the model before training"
    if options.reference_logps == "online":
        return f"{name}, asked at every step"
    computed = "all are computed" if options.reference_cache == "none" else _UNKNOWN
    return f"{name}, on {plan.reference_pairs:,} pairs once; {computed}"


_UNKNOWN = "how many are in the cache is not known before the weights are loaded"

"""A plan as lines of text: (label, text) rows. Read by the command line and out_of_memory.py."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmpo_core.train_plan.memory import Memory
from mmpo_core.train_plan.plan import TrainPlan, asks_online, needs_reference

Row = tuple[str, str]
_CUT = {
    "prompts_cut": "prompts cut from the left",
    "completions_cut": "completions cut from the right",
    "cut": "cut from the right",
}


def plan_rows(plan: TrainPlan) -> Iterator[Row]:
    """Return the plan: parameters, data, tokens, steps, reference, and memory by part."""
    yield "model", plan.options.title
    share = plan.trainable / plan.parameters
    yield "parameters", f"{plan.parameters:,}, {plan.trainable:,} of them trained ({share:.2%})"
    for split, report in plan.data.items():
        yield f"{split} {plan.unit}s", _counts(report)
    if "eval" in plan.splits and "eval" not in plan.data:
        yield "held out", f"{plan.splits['eval']:,} of them"
    yield from _tokens(plan)
    yield from _steps(plan)
    if plan.options.task != "sft":
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


def _counts(report: Mapping[str, Any]) -> str:
    parts = [f"{report['kept']:,} of {report['read']:,} kept"]
    parts += [f"{count:,} dropped ({reason})" for reason, count in report["dropped"].items()]
    parts += [f"{report[name]:,} {what}" for name, what in _CUT.items() if report.get(name)]
    return "; ".join([*parts, f"longest conversation {report['longest']:,} tokens"])


def _tokens(plan: TrainPlan) -> Iterator[Row]:
    steps, pairs = plan.steps, plan.unit == "pair"
    apart = f"{steps.tokens_apart:,} in the conversations of an epoch"
    if not plan.packed:
        yield "tokens", f"{apart}; {steps.tokens_padded:,} computed, in padded rows"
        return
    more = steps.tokens_padded / steps.tokens
    how = "prompts are shared and rows packed" if pairs else "rows are packed"
    yield (
        "tokens",
        f"{apart}; {steps.tokens:,} computed, as {how} if the model can; padded, "
        f"{steps.tokens_padded:,} ({more:.2f} times as many)",
    )
    if pairs:
        yield "longest pair", f"{plan.longest:,} tokens: prompt and both answers"


def _steps(plan: TrainPlan) -> Iterator[Row]:
    steps, largest = plan.steps, plan.largest
    each = min(plan.options.batch_size, plan.splits["train"])
    yield "steps", f"{steps.total:,} ({steps.per_epoch:,} an epoch) of {each:,} {plan.unit}s"
    yield (
        "forward passes",
        f"{steps.micro_batches:.1f} a step, {steps.rows:.1f} rows in all; the largest has "
        f"{largest.pairs:,} {plan.unit}{'s' * (largest.pairs > 1)} in {largest.rows:,} x "
        f"{largest.width:,} tokens",
    )


def _reference(plan: TrainPlan) -> str:
    options = plan.options
    if not needs_reference(options):
        return "none is needed"
    name = options.reference or "the model before training"
    if asks_online(options):
        return f"{name}, asked at every step"
    computed = "all are computed" if options.reference_cache == "none" else _UNKNOWN
    return f"{name}, on {plan.reference_pairs:,} pairs once; {computed}"


_UNKNOWN = "how many are in the cache is not known before the weights are loaded"

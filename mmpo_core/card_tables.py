"""The tables of a model card, in Markdown, from run.json. Read by model_card.py."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# metric of run.json -> what it is
_METRICS = {
    "eval_loss": "loss",
    "eval_accuracy": "accuracy (ties half)",
    "eval_nll": "NLL against the targets",
    "eval_brier": "Brier score against the targets",
    "eval_ece": "expected calibration error",
    "eval_rewards/margins": "mean reward margin",
    "eval_rewards/chosen": "mean reward of chosen answers",
    "eval_rewards/rejected": "mean reward of rejected answers",
    "eval_targets/mean": "mean target",
    "eval_perplexity": "perplexity of assistant tokens",
}
# Options that a card lists whatever their value; the command has those that differ from defaults.
_SETTINGS = (
    "loss beta gamma margin_column use_weights sft_weight center_rewards lr scheduler warmup_ratio "
    "epochs max_steps batch_size max_length max_prompt_length overlong optimizer weight_decay "
    "max_grad_norm dtype bf16 seed lora_rank lora_alpha lora_dropout dora quantize"
).split()
_ABOUT_PAIRS = {
    "source": "source of the margins",
    "layout": "layout of the raw data",
    "margin": "margin",
    "unit": "its unit",
    "gamma": "gamma of the file",
    "mean_target": "mean target of the file",
    "tool_version": "made by margintool",
}


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """Return the held-out metrics of run.json as a table; empty where nothing was held out."""
    rows = [
        (meaning, _number(metrics[name]))
        for name, meaning in _METRICS.items()
        if metrics.get(name) is not None
    ]
    return _table(("Metric", "Value"), rows) if rows else ""


def by_margin_table(bins: Sequence[Mapping[str, Any]]) -> str:
    """Return accuracy and predicted probability by margin, as evaluation.by_margin gives them."""
    head = ("Margins", "Pairs", "Accuracy", "Mean predicted probability", "Mean target")
    rows = [
        (
            f"{_number(one['lowest_margin'])} to {_number(one['highest_margin'])}",
            int(one["pairs"]),
            *(_number(one[name]) for name in ("accuracy", "predicted", "target")),
        )
        for one in bins
    ]
    return _table(head, rows)


def data_table(record: Mapping[str, Any]) -> str:
    """Return what a run read: the pair file's own metadata, or the conversations; and counts."""
    if "conversations" in record:
        rows = [("conversations", _last_part(record["conversations"]["name"]))]
        if record.get("eval_conversations"):
            rows.append(("evaluated on", _last_part(record["eval_conversations"]["name"])))
        for split, counts in record["splits"].items():
            rows += [(f"{name.replace('_', ' ')}, {split}", n) for name, n in counts.items()]
        return _table(("", ""), rows)
    rows = [*_pair_file_rows(record["pairs"])]
    for split, counts in record["data"].items():
        rows.append((f"pairs used, {split}", counts["kept"]))
        rows += [
            (f"{name.replace('_', ' ')}, {split}", n)
            for name, n in counts.items()
            if name not in ("read", "kept", "dropped") and n
        ]
        rows += [(f"dropped, {split}: {why}", n) for why, n in counts["dropped"].items()]
    return _table(("", ""), rows)


def _pair_file_rows(pairs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a pair file's metadata says; all but the schema version may be missing there."""
    metadata = pairs["metadata"]
    about, counts = (_mapping(metadata.get(key)) for key in ("input", "counts"))
    if "description" in about:
        yield "input", _last_part(str(about["description"]))
    yield from ((what, metadata[key]) for key, what in _ABOUT_PAIRS.items() if key in metadata)
    for name, what in (("read", "rows read"), ("kept", "pairs kept"), ("ties", "ties among them")):
        if name in counts:
            yield what, counts[name]
    for why, number in _mapping(counts.get("rejected")).items():
        yield f"rejected: {why}", number
    yield "fingerprint of the pair file", pairs["fingerprint"]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def settings_table(arguments: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Return the hyper-parameters, and what the run came to.

    Args:
        arguments: options, as a card may show them.
        record: content of run.json.
    """
    rows = [
        (name.replace("_", " "), arguments[name])
        for name in _SETTINGS
        if arguments.get(name) is not None and (arguments[name] != 0 or name == "gamma")
    ]
    rows += [("further settings", setting) for setting in arguments.get("set", ())]
    rows += [(name, record[name]) for name in ("steps", "device") if name in record]
    rows.append(("processes", ", ".join(map(str, record["processes"]))))
    return _table(("Setting", "Value"), rows)


def versions_table(versions: Mapping[str, str]) -> str:
    """Return the versions of the libraries that a run used; the machine is nobody's business."""
    return _table(
        ("Library", "Version"), [item for item in versions.items() if item[0] != "platform"]
    )


def _number(value: float) -> str:
    return f"{value:.4g}"


def _last_part(text: str) -> str:
    """Return the last part of an absolute path."""
    return text.rsplit("/", 1)[-1] if text.startswith("/") else text


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    """Return a value as a cell holds it: bars and line breaks would end it."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").split())

"""The model card of a run: README.md beside the model, from what run.json says and nothing else.

Read by training_run.py, which writes it when the model is there; hub_push.py uploads it.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmpo_core.card_tables import (
    by_margin_table,
    data_table,
    metrics_table,
    settings_table,
    versions_table,
)
from mmpo_core.command_line import changed_words
from mmpo_core.run_options import RunOptions

CARD_FILE = "README.md"
# what tells a card of ours from a README.md that someone wrote
_MARK = "<!-- Written by margintool from run.json. Without this line the file is left as it is. -->"
_HUB_DATA = re.compile(r"([\w.-]+/[\w.-]+)@[^:]*:[^:]*:[^:]*")
# count in run.json -> of what
_ALSO_TRAINED_ON = {
    "eval_prompts_also_trained_on": "prompts of the evaluation pairs",
    "eval_conversations_also_trained_on": "of the evaluation conversations",
}
# Options that say nothing about the model.
_NOT_ABOUT_MODEL = (
    "resume overwrite report_to reference_cache push_to_hub hub_private logging_steps device"
).split()


def write_model_card(options: RunOptions, record: Mapping[str, Any]) -> bool:
    """Write README.md into a run's folder; return whether it was, for one by hand is kept.

    Args:
        options: of the run.
        record: content of run.json, with metrics.
    """
    from mmpo_core.pair_file import whole_file

    path = options.folder / CARD_FILE
    if path.exists() and not _is_ours(path):
        return False
    with whole_file(path) as temporary:
        temporary.write_text(model_card(options, record), encoding="utf-8")
    return True


def drop_model_card(folder: Path) -> None:
    """Remove an earlier run's card, which would tell of another model; not one by hand."""
    path = folder / CARD_FILE
    if path.exists() and _is_ours(path):
        path.unlink()


def _is_ours(path: Path) -> bool:
    return _MARK in path.read_text(encoding="utf-8", errors="replace")


def model_card(options: RunOptions, record: Mapping[str, Any]) -> str:
    """Return a card in Markdown, with the YAML block that the hub reads at its top.

    A licence is not claimed: it depends on the base model and the data, which the user knows.
    Paths on this machine are cut to their last part.

    Args:
        options: of the run.
        record: content of run.json, with metrics.
    """
    parts = [
        _front_matter(options, record),
        _MARK,
        f"# {_name(options)}",
        _introduction(options, record),
        "## Results on held-out data",
        *_results(record),
        "## Data",
        data_table(record),
        "## Training",
        settings_table(_arguments(record), record),
        "## Command",
        f"    {run_command(options, record)}",
        versions_table(record["versions"]),
        "## Use",
        _use(options),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(options: RunOptions, record: Mapping[str, Any]) -> str:
    from huggingface_hub import ModelCardData

    base = base_model(options)
    found = dataset_id(record)
    data = ModelCardData(
        base_model=base,
        base_model_relation=None if base is None else _relation(options),
        datasets=None if found is None else [found],
        library_name="peft" if options.lora_rank else "transformers",
        model_name=_name(options),
        pipeline_tag="text-classification" if options.task == "reward" else "text-generation",
        tags=_tags(options),
    )
    return f"---\n{data.to_yaml()}\n---"


def _relation(options: RunOptions) -> str:
    return "adapter" if options.lora_rank else "finetune"


def _tags(options: RunOptions) -> list[str]:
    kind = {"policy": "preference-optimization", "reward": "reward-model", "sft": "sft"}
    loss = getattr(options, "loss", None)
    tags = ["margintool", kind[options.task], loss, "lora" if options.lora_rank else None]
    return list(dict.fromkeys(tag for tag in tags if tag))


def _name(options: RunOptions) -> str:
    return options.push_to_hub or options.folder.resolve().name


def base_model(options: RunOptions) -> str | None:
    """Return the hub id of the model that a run started from; None for folders and `tiny`."""
    from mmpo_core.models import resolve_model

    name = resolve_model(options.model)
    return name if "/" in name and not Path(name).is_dir() else None


def dataset_id(record: Mapping[str, Any]) -> str | None:
    """Return the hub id of the dataset behind a run's pairs or conversations; None for files.

    Inputs from the hub have a fingerprint of the form `id@commit:config:split`.
    """
    if "conversations" in record:
        given = record["conversations"]["fingerprint"]
    else:
        about = record["pairs"]["metadata"].get("input")
        given = about.get("fingerprint") if isinstance(about, Mapping) else None
    match = _HUB_DATA.fullmatch(str(given))
    return match and match[1]


def _introduction(options: RunOptions, record: Mapping[str, Any]) -> str:
    start = f"`{_short(options.model)}`"
    if options.revision:
        start += f" (revision {options.revision})"
    what = "Low-rank adapters for" if options.lora_rank else "Trained from"
    if options.task == "sft":
        return f"{what} {start}: supervised training on the assistant's turns of conversations."
    from mmpo_core.losses import OBJECTIVES

    loss = OBJECTIVES[options.task][record["arguments"]["loss"]]
    kind = "policy" if options.task == "policy" else "reward model"
    return (
        f"{what} {start}: a {kind}, trained on preference pairs with the loss "
        f"`{record['arguments']['loss']}`: `{loss.equation}` ({loss.source})."
    )


def _results(record: Mapping[str, Any]) -> Iterator[str]:
    table = metrics_table(record["metrics"])
    if not table:
        yield "Nothing was held out, and nothing was measured."
        return
    yield table
    if record.get("eval_by_margin"):
        yield "By the size of the margin:"
        yield by_margin_table(record["eval_by_margin"])
    for key, what in _ALSO_TRAINED_ON.items():
        if record.get(key):
            yield f"{record[key]} {what} were trained on too."
    yield "Held-out data is all that was measured: no benchmark was run."


def run_command(options: RunOptions, record: Mapping[str, Any]) -> str:
    """Return the command line of a run, with those options that differ from their defaults."""
    arguments = _arguments(record)
    words = ["margintool", "sft" if options.task == "sft" else "train"]
    if "pairs" in arguments:
        words.append(str(arguments.pop("pairs")))
    return shlex.join([*words, *changed_words(type(options), arguments, _NOT_ABOUT_MODEL)])


def _arguments(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's options as a card may show them: no folders of this machine."""
    arguments = dict(record["arguments"])
    for name in ("pairs", "out", "model", "reference", "eval_pairs", "data", "eval_data"):
        if isinstance(arguments.get(name), str):
            arguments[name] = _short(arguments[name])
    return arguments


def _short(name: str) -> str:
    """Return an absolute path's last part; hub ids, short names and relative paths as they are."""
    path = Path(name).expanduser()
    return path.name if path.is_absolute() else name


def _use(options: RunOptions) -> str:
    kind = "SequenceClassification" if options.task == "reward" else "CausalLM"
    cls = f"AutoPeftModelFor{kind}" if options.lora_rank else f"AutoModelFor{kind}"
    imports = (
        [f"from peft import {cls}", "from transformers import AutoTokenizer"]
        if options.lora_rank
        else [f"from transformers import {cls}, AutoTokenizer"]
    )
    labels = ", num_labels=1" if options.lora_rank and options.task == "reward" else ""
    lines = [
        "```python",
        *imports,
        "",
        f'model = {cls}.from_pretrained("{_name(options)}"{labels})',
        f'tokenizer = AutoTokenizer.from_pretrained("{_name(options)}")',
        "```",
    ]
    return "\n".join(lines)

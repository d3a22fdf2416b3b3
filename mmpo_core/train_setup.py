"""The parts of a run: encoded pairs, the model it starts from, its trainer. Read by train.py."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from mmpo_core.adapters import quantization, with_adapter
from mmpo_core.encode import encode_pairs
from mmpo_core.encoded_pairs import EncodedPairs
from mmpo_core.errors import InputError
from mmpo_core.liger import with_liger
from mmpo_core.loss_options import chosen_loss, loss_keywords
from mmpo_core.models import load_policy, load_reward_model, load_tokenizer
from mmpo_core.reward import RewardTrainer
from mmpo_core.run_options import RunOptions
from mmpo_core.train_data import PairTables, eval_gamma, mean_one, target_gap
from mmpo_core.train_options import TrainOptions
from mmpo_core.train_progress import show_progress
from mmpo_core.train_reference import Referenced
from mmpo_core.trainer import MMPOTrainer, PairTrainer
from mmpo_core.training_args import runs_on_cpu, warmup_steps

logger = logging.getLogger("mmpo_core.train")

Splits = dict[str, EncodedPairs]


def encode_tables(options: TrainOptions, tables: PairTables) -> tuple[Any, Splits]:
    """Return the tokenizer, and the encoded pairs as `train` and, where held out, `eval`."""
    tokenizer = start_tokenizer(options)
    pairs = {"train": _encode(options, "train", tables.train, tokenizer)}
    if tables.evaluation is not None:
        pairs["eval"] = _encode(options, "eval", tables.evaluation, tokenizer)
    return tokenizer, pairs


def start_tokenizer(options: RunOptions) -> Any:
    """Return the tokenizer of the model that training starts from."""
    return load_tokenizer(
        options.model, trust_remote_code=options.trust_remote_code, revision=options.revision
    )


def _encode(options: TrainOptions, name: str, table: pa.Table, tokenizer: Any) -> EncodedPairs:
    """Encode pairs, with the columns target and weight, and what else the loss reads."""
    try:
        encoded = encode_pairs(
            table,
            tokenizer,
            max_length=options.max_length,
            max_prompt_length=options.max_prompt_length,
            overlong=options.overlong,
        )
        columns = _strengths(options, name, table)
    except InputError as error:
        raise InputError(f"{name} pairs: {error}") from error
    for line in encoded.report.lines():
        logger.info("%s: %s", name, line)
    weight = table["weight"].to_numpy()[encoded.row]
    return encoded.with_columns(
        weight=mean_one(weight) if options.use_weights else np.ones(len(encoded)),
        **{column: values[encoded.row] for column, values in columns.items()},
    )


def _strengths(options: TrainOptions, name: str, table: pa.Table) -> dict[str, Any]:
    """Return the columns through which margins reach metrics and loss, of all pairs of a split."""
    columns = {"target": table["p_chosen"].to_numpy()}
    if chosen_loss(options).reads == "target_gap":
        gamma = eval_gamma(options) if name == "eval" else options.gamma
        columns["target_gap"] = target_gap(table, options, gamma)
    return columns


def load_start(options: RunOptions, tokenizer: Any) -> Any:
    """Return the model that training starts from, without dropout, with new adapters if asked for.

    A reward model's head and adapters are new, by the seed.
    """
    half = options.dtype == "bfloat16"
    # beside weights in 4 bits, the rest is frozen too: in the type that products are computed in
    in_half = half or (options.quantize is not None and options.bf16)
    how: dict[str, Any] = {
        "dtype": "bfloat16" if in_half else options.dtype,
        "trust_remote_code": options.trust_remote_code,
        "revision": options.revision,
        "attn_implementation": options.attn_implementation,
        "quantization": quantization(
            options, options.model, on_cpu=runs_on_cpu(options), bf16=in_half
        ),
    }
    if half and not options.lora_rank:  # adapters are in float32
        logger.warning(
            "dtype bfloat16: weights are trained in bfloat16 and updates below their rounding are "
            "lost (at lr 5e-7, over 99 % of them). bf16 with float32 weights keeps them"
        )
    if options.task == "reward":
        model = load_reward_model(options.model, tokenizer, seed=options.seed, **how)
    else:
        model = load_policy(options.model, **how)
    if options.liger:
        model = with_liger(model)
    if options.compile:
        # the decoder alone, for rows of any shape: the head works on chunks
        model.get_decoder().compile(dynamic=True)
    model = without_dropout(model)
    return _with_adapter(model, options) if options.lora_rank else model


def _with_adapter(model: Any, options: RunOptions) -> Any:
    reward = options.task == "reward"
    model = with_adapter(
        model,
        options,
        base=options.model,
        seed=options.seed,
        reward=reward,
        revision=options.revision,
    )
    if options.gradient_checkpointing:
        # a reentrant checkpoint has gradients only if its input, of a frozen embedding, asks
        model.enable_input_require_grads()
    return model


def without_dropout(model: Any) -> Any:
    """Return the model with every dropout at 0, in its modules and its configuration.

    With dropout the policy would differ from a reference of the same weights before it has learnt
    anything; TRL turns it off too (`disable_dropout`).
    """
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
        _zero_dropouts(module)
    _zero_dropouts(model.config)
    _zero_dropouts(model.config.get_text_config())
    return model


def _zero_dropouts(holder: Any) -> None:
    """Set an object's own attributes that are dropout rates to 0, such as attn_pdrop."""
    for name, value in vars(holder).items():
        if name.endswith(("dropout", "pdrop", "layerdrop")) and isinstance(value, float):
            setattr(holder, name, 0.0)


def build_trainer(
    options: TrainOptions, arguments: Any, model: Any, tokenizer: Any, data: Referenced
) -> PairTrainer:
    """Return the trainer of a run.

    Args:
        options: checked options.
        arguments: as training_arguments gives them; warmup_steps is set here.
        model: as load_start gives it.
        tokenizer: saved beside the model.
        data: pairs `train`, and `eval` if pairs are held out, as with_reference gives them.
    """
    common = trainer_keywords(options, arguments, model, tokenizer, data.pairs, data.batching)
    if options.objective == "reward":
        trainer: PairTrainer = RewardTrainer(
            loss=options.loss, center_rewards=options.center_rewards, **common
        )
    else:
        trainer = MMPOTrainer(
            loss=options.loss,
            beta=options.beta,
            loss_options=loss_keywords(options),
            sft_weight=options.sft_weight,
            reference_model=data.model,
            **common,
        )
    show_progress(trainer)
    return trainer


def trainer_keywords(
    options: RunOptions,
    arguments: Any,
    model: Any,
    tokenizer: Any,
    splits: Mapping[str, Any],
    batching: Any,
) -> dict[str, Any]:
    """Return the keywords of every MeanTrainer; sets the arguments' warmup_steps.

    Args:
        options: checked options.
        arguments: as training_arguments gives them.
        model: as load_start gives it.
        tokenizer: saved beside the model.
        splits: `train`, and `eval` if anything is held out.
        batching: how they become micro-batches.
    """
    arguments.warmup_steps = warmup_steps(options, len(splits["train"]))
    return {
        "model": model,
        "args": arguments,
        "batching": batching,
        "train_dataset": splits["train"],
        "eval_dataset": splits.get("eval"),
        "processing_class": tokenizer,
    }


def check_positions(model: Any, splits: Mapping[str, Any]) -> None:
    """Raise InputError if a conversation is longer than the model has positions for."""
    most = getattr(model.config, "max_position_embeddings", None)
    longest = max(int(split.lengths.max()) for split in splits.values())
    if most is not None and longest > most:
        raise InputError(
            f"a conversation has {longest} tokens, and the model was made for {most}. "
            f"Give --max-length {most} or less"
        )

"""Published recipes by name: `margintool train --preset NAME`.

Values come from the recipe files of the MMPO paper's code (kykim0/margin-matching-pref-opt,
recipes/*.yaml), which leave gamma (`bt_beta`) empty, and from what was published with them for
gamma; it multiplies the raw score gap. Read by config_file.py: defaults < preset < configuration
file < command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmpo_core.errors import lookup


@dataclass(frozen=True)
class Preset:
    """A recipe: `about` in a line or two, and the options it sets."""

    about: str
    options: Mapping[str, Any]


_COMMON: dict[str, Any] = {
    "batch_size": 64,
    "max_length": 1024,
    "optimizer": "adamw_torch",
    # The recipes load the weights in bfloat16 too. Plain AdamW then rounds its updates away: at
    # lr 5e-7 under 1 % of the weights change. Here the weights stay float32, under autocast.
    "bf16": True,
    "gradient_checkpointing": True,
    "seed": 42,
}
_POLICY: dict[str, Any] = {
    **_COMMON,
    "objective": "policy",
    "loss": "mmpo",
    "beta": 0.01,
    "margin_column": "margin_raw",
    "scheduler": "cosine",
    "warmup_ratio": 0.3,
    "max_prompt_length": 512,
}
_REWARD: dict[str, Any] = {
    **_COMMON,
    "objective": "reward",
    "scheduler": "linear",
    "warmup_ratio": 0.0,
}
_NO_GAMMA = (
    "The recipe names no gamma, so the file's own targets are used; --gamma G "
    "--margin-column margin_raw gives the paper's kind of target."
)

PRESETS: dict[str, Preset] = {
    "gemma-2b-ultrafeedback": Preset(
        "Gemma 2B SFT on UltraFeedback, 3 epochs at 1e-5, gamma 2.2.",
        {
            **_POLICY,
            "model": "kykim0/gemma-2b-ultrachat-sft",
            "lr": 1e-5,
            "epochs": 3.0,
            "gamma": 2.2,
        },
    ),
    "gemma-7b-ultrafeedback": Preset(
        "Gemma 7B SFT on UltraFeedback, 1 epoch at 5e-7, gamma 0.3, as published. The "
        "checkpoint itself says gamma 1.1 and 3 epochs: --gamma 1.1 --epochs 3.",
        {
            **_POLICY,
            "model": "kykim0/gemma-7b-ultrachat-sft",
            "lr": 5e-7,
            "epochs": 1.0,
            "gamma": 0.3,
        },
    ),
    "gemma-7b-shp": Preset(
        "Gemma 7B SFT on SHP (raw margin: difference of votes), 3 epochs at 5e-7, gamma 1.1.",
        {
            **_POLICY,
            "model": "kykim0/gemma-7b-ultrachat-sft",
            "lr": 5e-7,
            "epochs": 3.0,
            "gamma": 1.1,
        },
    ),
    "llama-3-8b-ultrafeedback": Preset(
        "Llama 3 8B SFT on UltraFeedback, 3 epochs at 5e-7, gamma 2.2.",
        {
            **_POLICY,
            "model": "kykim0/llama3-8b-ultrachat-sft-itt",
            "lr": 5e-7,
            "epochs": 3.0,
            "gamma": 2.2,
        },
    ),
    "gemma-2b-reward": Preset(
        f"Reward model on Gemma 2B SFT, 3 epochs at 1.41e-5. {_NO_GAMMA}",
        {**_REWARD, "model": "kykim0/gemma-2b-ultrachat-sft", "lr": 1.41e-5, "epochs": 3.0},
    ),
    "gemma-7b-reward": Preset(
        f"Reward model on Gemma 7B SFT, 2 epochs at 3e-6, batch 32. {_NO_GAMMA}",
        {
            **_REWARD,
            "model": "kykim0/gemma-7b-ultrachat-sft",
            "lr": 3e-6,
            "epochs": 2.0,
            "batch_size": 32,
        },
    ),
    "llama-3-8b-reward": Preset(
        f"Reward model on Llama 3 8B SFT, 2 epochs at 3e-6, batch 32. {_NO_GAMMA}",
        {
            **_REWARD,
            "model": "kykim0/llama3-8b-ultrachat-sft-itt",
            "lr": 3e-6,
            "epochs": 2.0,
            "batch_size": 32,
        },
    ),
}


def preset_options(name: str | None) -> Mapping[str, Any]:
    """Return the options of a preset; none if no name is given.

    Raises:
        InputError: for an unknown name.
    """
    return {} if name is None else lookup("preset", name, PRESETS).options

"""Who takes part in benchmarks/train.py, and what is measured of them by default."""

from typing import Any

# name -> (job, options of the run, what is switched off)
CONTENDERS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    # TRL as it comes, but for float32 on a CPU: activation checkpointing on, the reference a
    # second model that is asked at every step
    "trl": ("trl", {}, []),
    "trl-pre": ("trl", {"precompute_ref_log_probs": True}, []),
    # the fastest of TRL's settings on a CPU: nothing is computed twice
    "trl-kept": ("trl", {"precompute_ref_log_probs": True, "activation_checkpointing": False}, []),
    "trl-flash": (
        "trl",
        {"precompute_ref_log_probs": True, "attn_implementation": "flash_attention_2"},
        [],
    ),
    "padded-logits": ("ours", {"packing": "padded"}, ["chunks"]),
    "padded": ("ours", {"packing": "padded"}, []),
    "one-a-row": ("ours", {"packing": "shared"}, ["several pairs"]),
    "shared": ("ours", {"packing": "shared"}, []),
    "cached": ("ours", {"packing": "shared"}, []),
    "shared-logits": ("ours", {"packing": "shared"}, ["chunks"]),
    "online": ("ours", {"packing": "shared", "reference_logps": "online"}, []),
    "flex": ("ours", {"packing": "shared", "attn_implementation": "flex_attention"}, []),
}
WORDS = {
    "trl": "TRL as it comes (reference asked at each step, checkpointing on), float32 on a CPU",
    "trl-pre": "the same with precompute_ref_log_probs",
    "trl-kept": "the same, checkpointing off: TRL's fastest without a GPU",
    "trl-flash": "trl-pre with FlashAttention, for a GPU; needs flash-attn",
    "padded-logits": "ours, conversations padded, the model's own logits of answers",
    "padded": "+ log-probs in chunks",
    "one-a-row": "+ one prompt for both answers, a pair a row",
    "shared": "+ several pairs a row: what `margintool train` does",
    "cached": "the same again: the reference's log-probs are in the cache",
    "shared-logits": "shared, but without chunks",
    "online": "shared, but the reference asked at every step, as a second model",
    "flex": "shared, with FlexAttention, for a GPU",
}
BREAKDOWN = ("padded-logits", "padded", "one-a-row", "shared", "cached")
ONE_OFF = ("shared-logits", "one-a-row", "padded", "online")

MAIN = ["trl", "trl-pre", "padded", "shared", "cached"]
# of the first case alone
MORE = ["trl-kept", "padded-logits", "one-a-row", "shared-logits", "online"]
ON_GPU = ["trl", "trl-pre", "trl-kept", "trl-flash", "padded", "shared", "cached", "flex"]
# of real pairs, and with a large vocabulary, where TRL takes minutes
FEW = ["trl", "padded", "shared", "cached"]
LARGE_VOCABULARY = 16_384


def chosen(
    given: list[str] | None, *, device: str, shape: str, vocabulary: int, first: bool
) -> list[str]:
    """Return the contenders of a case."""
    if given:
        return given
    if device != "cpu":
        return ON_GPU
    names = FEW if shape == "eli5" or vocabulary > LARGE_VOCABULARY else MAIN
    return [name for name in CONTENDERS if name in names or (first and name in MORE)]

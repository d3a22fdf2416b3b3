"""The counted floor of benchmarks/train.py: what the packed pairs need at the least.

Floating-point operations of the matrix products that [prompt | chosen | rejected] needs, the prompt
once for both answers, no padding, attention only where a token sees another, the head only where
an answer's token is predicted; the reference one forward pass, training three (forward, and twice
that backward). Over the rate at which this machine does the model's own products, measured in the
same run.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TOKENS = 1024  # of a micro-batch on a CPU
REPEATS = 15


def forward_operations(config: Any, lengths: Sequence[Sequence[int]]) -> float:
    """Return the operations of one forward pass.

    Args:
        config: of a Mistral or Llama model.
        lengths: prompt, chosen and rejected tokens of each pair.
    """
    tokens = sum(map(sum, lengths))
    predicted = sum(chosen + rejected for _, chosen, rejected in lengths)
    linear = 2.0 * tokens * sum(n * m for n, m in layer_shapes(config)) * config.num_hidden_layers
    head = 2.0 * predicted * config.hidden_size * config.vocab_size
    seen = sum(triangle(p) + sum(p * a + triangle(a) for a in answers) for p, *answers in lengths)
    width = config.num_attention_heads * head_dim(config)
    attention = 4.0 * seen * width * config.num_hidden_layers
    return float(linear + head + attention)


def triangle(n: int) -> int:
    return n * (n + 1) // 2


def head_dim(config: Any) -> int:
    return int(
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )


def layer_shapes(config: Any) -> list[tuple[int, int]]:
    """Return (inputs, outputs) of a layer's linear maps."""
    hidden, inner = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * head_dim(config)
    keys = config.num_key_value_heads * head_dim(config)
    attention = [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden)]
    return [*attention, (hidden, inner), (hidden, inner), (inner, hidden)]


def rate(settings: dict[str, Any]) -> dict[str, Any]:
    """Measure how fast a forward pass's products run, all of them in turn; best of REPEATS.

    Returns:
        rate: operations a second. operations: of one forward pass over the pairs.
    """
    import torch
    from transformers import AutoConfig

    torch.set_num_threads(settings["threads"])
    config = AutoConfig.from_pretrained(Path(settings["folder"]) / "model")
    device = torch.device(settings["device"])
    gpu = device.type == "cuda"
    tokens = 8 * TOKENS if gpu else TOKENS
    answers = sum(c + r for _, c, r in settings["lengths"]) / sum(map(sum, settings["lengths"]))
    layers = [(tokens, *shape) for shape in layer_shapes(config)] * config.num_hidden_layers
    shapes = [*layers, (round(tokens * answers), config.hidden_size, config.vocab_size)]
    kind = torch.bfloat16 if gpu else torch.float32
    operands = {
        shape: (
            torch.randn(shape[0], shape[1], device=device, dtype=kind),
            torch.randn(shape[2], shape[1], device=device, dtype=kind),
        )
        for shape in set(shapes)
    }

    def products() -> None:
        for shape in shapes:
            torch.nn.functional.linear(*operands[shape])
        if gpu:
            torch.cuda.synchronize()

    operations = sum(2.0 * n * m * k for n, m, k in shapes)
    return {
        "rate": operations / best_seconds(products),
        "operations": forward_operations(config, settings["lengths"]),
    }


def best_seconds(run: Callable[[], None]) -> float:
    """Return the least seconds of a call, after one that does not count."""
    run()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)

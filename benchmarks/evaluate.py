"""What does a pair cost in `evaluate`, beside a forward pass of training? And how much memory?

Run: python benchmarks/evaluate.py

Both go over the same short pairs with the `tiny` policy, in turns of 500, in one process on one
thread. Evaluation is what `evaluate` does: no gradients, a turn's pairs planned together, shared
prompts. Training's forward pass is what `train` does: gradients are prepared, steps of 64 pairs in
random order, shared prompts, the loss at the end; no backward pass. Both compute the same pairs
once; the reference's pass, of the same cost and cached, is in neither. Rows packed from 500 pairs
hold less padding than from 64: see the positions. Peak memory and time of the whole command are
those of a process of its own. Prints a table and JSON.

Seconds are those of the CPU (process_time), so that what else runs on a machine counts less; wall
time stands beside them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import torch  # noqa: E402

from mmpo_core.bradley_terry import probability  # noqa: E402
from mmpo_core.encode import encode_pairs  # noqa: E402
from mmpo_core.encoded_pairs import EncodedPairs  # noqa: E402
from mmpo_core.engine.batches import Batching, StepCollator, dataset_lengths  # noqa: E402
from mmpo_core.engine.check import choose_batching  # noqa: E402
from mmpo_core.engine.rows import Limits  # noqa: E402
from mmpo_core.logprobs import completion_logps  # noqa: E402
from mmpo_core.losses import LOSSES, answer_scores  # noqa: E402
from mmpo_core.models import load_policy, load_tokenizer  # noqa: E402
from mmpo_core.pair_file import write_pairs  # noqa: E402
from mmpo_core.reference import reference_logps, values_of_sides  # noqa: E402
from mmpo_core.schema import PAIR_SCHEMA, SCHEMA_VERSION  # noqa: E402
from mmpo_core.step_trainer import TOKENS_ON_CPU  # noqa: E402

STEP, TURN = 64, 500


def make_pairs(count: int) -> pa.Table:
    """Return pairs of 10 to 30 bytes a prompt, 5 to 25 an answer, two pairs to a prompt."""
    draw = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz     "))

    def text(least: int, most: int) -> str:
        return "x" + "".join(draw.choice(letters, int(draw.integers(least, most))))

    prompts = [text(10, 30) for _ in range(-(-count // 2))]
    margins = draw.exponential(1.0, count)
    rows = {
        "pair_id": [f"pair-{i}" for i in range(count)],
        "prompt": [prompts[i // 2] for i in range(count)],
        "chosen": [text(5, 25) for _ in range(count)],
        "rejected": [text(5, 25) for _ in range(count)],
        "history": [[]] * count,
        "score_chosen": [None] * count,
        "score_rejected": [None] * count,
        "margin_raw": margins,
        "margin": margins,
        "p_chosen": probability(margins, 1.0),
        "weight": np.ones(count),
        "source": ["benchmark"] * count,
        "origin": [f"row {i}" for i in range(count)],
    }
    return pa.table(rows, schema=PAIR_SCHEMA)


def evaluation(model: Any, batching: Batching) -> Callable[[EncodedPairs], int]:
    def run(pairs: EncodedPairs) -> int:
        _, report = values_of_sides(
            pairs, model, batching, lambda batch: reference_logps(model, batch)
        )
        return report.forward_tokens

    return run


def training_forward(model: Any, batching: Batching) -> Callable[[EncodedPairs], int]:
    collate, loss = StepCollator(batching), LOSSES["mmpo"]
    draw = np.random.default_rng(0)

    def run(pairs: EncodedPairs) -> int:
        order, positions = draw.permutation(len(pairs)), 0
        model.train()
        for first in range(0, len(order), STEP):
            step = collate([pairs[int(i)] for i in order[first : first + STEP]])
            for batch in step["micro_batches"]:
                sums, tokens = completion_logps(model, batch)
                scores = answer_scores(loss, sums, torch.zeros_like(sums), tokens)
                chosen, rejected = scores.chunk(2)
                loss(loss.beta * (chosen - rejected), batch).sum()
                positions += batch["input_ids"].numel()
        return positions

    return run


def in_turns(count: int) -> list[dict[str, Any]]:
    """Return what each contender took over the same pairs, a turn of each after the other."""
    table = make_pairs(count)
    tokenizer = load_tokenizer("tiny")
    encoded = encode_pairs(table, tokenizer)
    encoded = encoded.with_columns(target=table["p_chosen"].to_numpy()[encoded.row])
    model = load_policy("tiny")
    batching = Batching(tokenizer.pad_token_id, Limits(TOKENS_ON_CPU))
    shared = choose_batching(model, {"pairs": encoded}, batching, "shared").batching
    contenders = {
        "evaluate": evaluation(model, shared),
        "training forward": training_forward(model, shared),
    }
    seconds, wall = dict.fromkeys(contenders, 0.0), dict.fromkeys(contenders, 0.0)
    positions = dict.fromkeys(contenders, 0)
    names = list(contenders)
    for turn, first in enumerate(range(0, len(encoded), TURN)):
        part = encoded.select(np.arange(first, min(first + TURN, len(encoded))))
        for name in names[turn % 2 :] + names[: turn % 2]:  # nobody is always first
            began, on_cpu = time.perf_counter(), time.process_time()
            positions[name] += contenders[name](part)
            seconds[name] += time.process_time() - on_cpu
            wall[name] += time.perf_counter() - began
    texts = dataset_lengths(encoded)
    tokens = int((2 * texts.prompt + texts.chosen + texts.rejected).sum())
    return [
        {
            "name": name,
            "pairs": len(encoded),
            "cpu_seconds": round(seconds[name], 2),
            "wall_seconds": round(wall[name], 2),
            "ms_per_pair": round(1000 * seconds[name] / len(encoded), 3),
            "positions": positions[name],
            "tokens_of_conversations": tokens,
            "of_training_forward": round(seconds[name] / seconds[names[1]], 3),
        }
        for name in names
    ]


def whole_command(count: int) -> dict[str, Any]:
    """Return time and peak memory of `margintool evaluate` in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        pairs = Path(scratch) / "pairs.parquet"
        write_pairs(make_pairs(count), pairs, {"schema_version": SCHEMA_VERSION, "gamma": 1.0})
        command = [sys.executable, "-m", "margintool", "evaluate", "tiny", "--reference-free"]
        command += ["--loss", "mmpo", "--data", str(pairs), "--out", f"{scratch}/out"]
        command += ["--device", "cpu", "--reference-cache", "none", "--json"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    computed = json.loads(done.stdout)["computed"]["tiny"]
    return {
        "pairs": count,
        "seconds": round(seconds, 1),
        "seconds_of_predictions": computed["seconds"],
        "packing": computed["packing"],
        "peak_mib": round(peak),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = in_turns(options.pairs)
    print(f"{options.pairs:,} pairs, tiny policy, one thread\n")
    print(f"{'':18} {'CPU s':>8} {'wall s':>8} {'ms/pair':>8} {'positions':>10} {'ratio':>6}")
    for row in rows:
        print(
            f"{row['name']:18} {row['cpu_seconds']:8.1f} {row['wall_seconds']:8.1f} "
            f"{row['ms_per_pair']:8.2f} {row['positions']:10,} {row['of_training_forward']:6.2f}"
        )
    command = whole_command(options.pairs)
    print(
        f"\nmargintool evaluate, whole: {command['seconds']} s wall, {command['packing']} prompts, "
        f"peak {command['peak_mib']:,} MiB"
    )
    found = {"in_turns": rows, "command": command, "load": os.getloadavg()}
    print(json.dumps(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

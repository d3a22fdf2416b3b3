"""How fast does `train` train, and in how much memory? Run: python benchmarks/train.py

TRL's DPOTrainer and this engine on the same weights, pairs (the same token ids: train_data.py says
how), batches and epochs, each in a process of its own; timed from texts and a loaded model to the
end of training: tokens, reference pass and all steps; models are neither read nor written meanwhile
but for the reference that TRL loads. Peak memory is the whole process's (VmHWM; on a GPU also
torch's). Who takes part, and what is switched off one at a time: train_contenders.py. The floor is
counted: train_floor.py. At the end the tokens of a sweep of six gammas.

Prints tables and JSON. Losses of all steps are compared: everyone draws the same batches. Times on
a shared machine are noisy; the load is told. With --device cuda: 1.1 billion parameters, bfloat16.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import train_contenders as contenders
import train_show
from train_data import ELI5, SHAPES

JOBS = Path(__file__).with_name("train_jobs.py")
GAMMAS = (0.1, 0.3, 0.55, 1.1, 2.2, 4.4)
SWEEP_PAIRS = 20

# by device: size of the model, vocabularies, shapes, pairs, learning rate
ON_CPU = ("tiny", [8000, 32000], ["shp", "ultrafeedback", "eli5"], 32, 3e-4)
ON_GPU = ("1b", [32000], ["long-1024", "long-4096"], 256, 1e-6)


def job(name: str, settings: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Run a job in a fresh interpreter; {"failed": why} if it does not come to its end."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(settings["threads"]),
        "HF_DATASETS_CACHE": tempfile.mkdtemp(dir=scratch),  # nothing of an earlier run
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONPATH": os.pathsep.join([str(JOBS.parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, str(JOBS), name, json.dumps(settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"failed": last}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def cases(options: argparse.Namespace) -> list[tuple[str, int, int]]:
    """Return (shape, vocabulary, pairs): every shape, larger vocabularies with the first alone."""
    shapes = [shape for shape in options.shapes if shape != "eli5" or ELI5.exists()]
    if len(shapes) < len(options.shapes):
        print(f"eli5 is left out: there is no {ELI5}\n")
    if not shapes:
        return []
    first, *others = options.vocab
    found = [(shape, first, options.pairs) for shape in shapes]
    return found + [(shapes[0], vocabulary, options.pairs) for vocabulary in others]


def base_settings(folder: Path, options: argparse.Namespace, shape: str) -> dict[str, Any]:
    """Return what all contenders of a case share."""
    return {
        "folder": str(folder),
        "batch_size": options.batch_size,
        "epochs": options.epochs,
        "lr": options.lr,
        "max_length": SHAPES[shape].most if shape in SHAPES else 1024,
        "tokens_per_batch": options.tokens_per_batch,
        "threads": options.threads,
        "device": options.device,
    }


def measure(
    case: tuple[str, int, int], folder: Path, options: argparse.Namespace, *, first: bool
) -> dict[str, Any]:
    """Measure the contenders of a case, in turn, `--repeat` times."""
    shape, vocabulary, pairs = case
    base = base_settings(folder, options, shape)
    data = {"shape": shape, "vocabulary": vocabulary, "pairs": pairs, "size": options.size}
    made = job("make", base | data, folder)
    if "failed" in made:
        sys.exit(f"{shape}: {made['failed']}")
    names = contenders.chosen(
        options.contenders,
        device=options.device,
        shape=shape,
        vocabulary=vocabulary,
        first=first,
    )
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    rates = [job("rate", base | made, folder)]
    for turn in range(options.repeat):
        for name in names:
            kind, how, without = contenders.CONTENDERS[name]
            if name in ("shared", "cached"):  # `cached` finds what `shared` of its turn kept
                how = how | {"reference_cache": str(folder / f"cache-{turn}")}
            out = str(folder / f"{name}-{turn}")
            settings = base | {"how": how, "without": without, "out": out}
            started = time.monotonic()
            runs[name].append(job(kind, settings, folder))
            took = time.monotonic() - started
            print(f"  {shape} {vocabulary}: {name} took {took:.0f} s", file=sys.stderr)
        rates.append(job("rate", base | made, folder))
    return {**data, "parameters": made["parameters"], **floors(rates, made, options)} | {
        "load": os.getloadavg()[0],
        "lengths": [sum(part) for part in zip(*made["lengths"], strict=True)],
        "runs": runs,
        "best": {name: best(some) for name, some in runs.items()},
    }


def floors(
    rates: list[dict[str, Any]], made: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Return the operations of a run and the best rate of products that was measured."""
    failed = [one["failed"] for one in rates if "failed" in one]
    if failed:
        sys.exit(f"the rate of matrix products was not measured: {failed[0]}")
    operations, rate = rates[0]["operations"], max(one["rate"] for one in rates)
    training, reference = 3 * operations * options.epochs, operations
    return {
        "rate": rate,
        "rates": [one["rate"] for one in rates],
        "operations": {"training": training, "reference": reference},
        "floor": (training + reference) / rate,
        "floor_cached": training / rate,
        "tokens_packed": sum(map(sum, made["lengths"])),
    }


def best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the quickest of a contender's runs, or the first that failed."""
    failed = [run for run in runs if "failed" in run]
    return failed[0] if failed else min(runs, key=lambda run: float(run["seconds"]))


def sweep(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Count the tokens of `margintool sweep`, and of one run by itself."""
    base = base_settings(folder, options, options.shapes[0])
    data = {"shape": options.shapes[0], "vocabulary": options.vocab[0], "size": options.size}
    job("make", base | data | {"pairs": SWEEP_PAIRS}, folder)
    how = {"loss": "mmpo", "packing": "shared", "eval_split": 0.2}
    more: dict[str, Any] = {"how": how, "without": [], "out": str(folder / "alone")}
    alone = job("ours", base | more, folder)
    cache = {"reference_cache": str(folder / "cache")}
    more = {"how": how | cache, "without": [], "out": str(folder / "sweep"), "gammas": GAMMAS}
    found = job("sweep", base | more, folder)
    return alone if "failed" in alone else found | {"alone": alone}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words = [f"{name}: {text}" for name, text in contenders.WORDS.items()]
    parser.add_argument("--pairs", type=int, help="a case")
    parser.add_argument("--batch-size", type=int, default=8, help="pairs a step")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--vocab", type=listed(int), help="such as 8000,32000")
    parser.add_argument("--shapes", type=listed(str), help=f"of {', '.join([*SHAPES, 'eli5'])}")
    parser.add_argument("--size", choices=("tiny", "1b"))
    parser.add_argument("--contenders", type=listed(str), help="; ".join(words))
    parser.add_argument("--repeat", type=int, default=1, help="runs to take the best of")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens-per-batch", type=int, help="of ours; its default if not given")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="of the GPU, for MFU")
    parser.add_argument("--no-sweep", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to write, for a while")
    parser.add_argument("--json", type=Path, help="write the results there too")
    options = parser.parse_args()
    defaults = ON_CPU if options.device == "cpu" else ON_GPU
    for name, value in zip(("size", "vocab", "shapes", "pairs", "lr"), defaults, strict=True):
        if getattr(options, name) is None:
            setattr(options, name, value)
    known = {"contenders": [*contenders.CONTENDERS], "shapes": [*SHAPES, "eli5"]}
    for field, names in known.items():
        for name in getattr(options, field) or []:
            if name not in names:
                parser.error(f"{field}: {name!r} is none of {', '.join(names)}")
    if options.contenders and "cached" in options.contenders and "shared" not in options.contenders:
        parser.error("cached reads what shared has kept: name both")
    return options


def listed(kind: Any) -> Any:
    return lambda text: [kind(part) for part in text.split(",")]


def main() -> None:
    options = parsed()
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            sys.exit(
                "--device cuda: torch finds no GPU here. The same command measures where one is"
            )
    results: dict[str, Any] = {"threads": options.threads, "cases": []}
    for number, case in enumerate(cases(options)):
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            found = measure(case, Path(temporary), options, first=number == 0)
        results["cases"].append(found)
        keep(results, options)  # a case takes minutes
        train_show.show_case(found, options)
    if not options.no_sweep and options.device == "cpu":
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            results["sweep"] = sweep(Path(temporary), options)
        keep(results, options)
        train_show.show_sweep(results["sweep"])
    print(json.dumps(results))


def keep(results: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

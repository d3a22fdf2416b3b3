"""What benchmarks/train.py runs, each job in a process of its own; it prints JSON at its end.

python benchmarks/train_jobs.py JOB SETTINGS_AS_JSON
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import train_data
import train_floor

Settings = dict[str, Any]
SEED = 42


def trl(settings: Settings) -> dict[str, Any]:
    """Train with TRL's DPOTrainer."""
    import torch
    from datasets import Dataset, disable_progress_bars
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    from mmpo_core.pair_file import read_table
    from mmpo_core.schema import pair_to_messages

    disable_progress_bars()
    folder, how = Path(settings["folder"]), dict(settings["how"])
    kernel = how.pop("attn_implementation", None)
    model = AutoModelForCausalLM.from_pretrained(
        folder / "model", dtype=torch.float32, attn_implementation=kernel
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    rows = read_table(folder / "pairs.parquet").to_pylist()
    data = Dataset.from_list([pair_to_messages(row) for row in rows])
    arguments = DPOConfig(
        output_dir=settings["out"],
        per_device_train_batch_size=settings["batch_size"],
        num_train_epochs=settings["epochs"],
        learning_rate=settings["lr"],
        lr_scheduler_type="constant",
        use_cpu=settings["device"] == "cpu",
        dataloader_pin_memory=settings["device"] != "cpu",
        bf16=settings["device"] != "cpu",
        max_length=settings["max_length"],
        logging_steps=1,
        logging_first_step=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=SEED,
        data_seed=SEED,
        **how,
    )
    found = Measured()
    trainer = DPOTrainer(
        model=model, args=arguments, train_dataset=data, processing_class=tokenizer
    )
    found.lap("constructor")
    trainer.train()
    found.lap("training")
    return found.result(trainer.state.log_history, pairs=len(data))


def ours(settings: Settings) -> dict[str, Any]:
    """Train with mmpo_core: the steps of mmpo_core.train.train_run between reading and saving."""
    from mmpo_core.train_batching import run_batching
    from mmpo_core.train_data import load_tables
    from mmpo_core.train_progress import quiet_transformers
    from mmpo_core.train_reference import with_reference
    from mmpo_core.train_setup import build_trainer, encode_tables, load_start
    from mmpo_core.training_args import training_arguments

    options = our_options(settings)
    tables = load_tables(options)
    arguments = training_arguments(options, evaluates=tables.evaluation is not None)
    with quiet_transformers(), switched_off(settings["without"]):
        model = load_start(options, None)
        if "chunks" in settings["without"]:
            use_own_logits(model)
        found = Measured()
        tokenizer, pairs = encode_tables(options, tables)
        found.lap("tokens")
        packing = run_batching(options, model.to(arguments.device), tokenizer, pairs)
        found.lap("check")
        data = with_reference(options, arguments, model, tokenizer, pairs, packing.batching)
        found.lap("reference")
        trainer = build_trainer(options, arguments, model, tokenizer, data)
        trainer.train()
        found.lap("training")
    result = found.result(trainer.state.log_history, pairs=len(pairs["train"]))
    return result | {"packing": packing.record(), "reference": data.record()}


def our_options(settings: Settings) -> Any:
    """Return the options of a run; what `how` says of them goes first."""
    from mmpo_core.train_options import TrainOptions, checked_options

    folder = Path(settings["folder"])
    fields = {
        "pairs": folder / "pairs.parquet",
        "model": str(folder / "model"),
        "out": Path(settings["out"]),
        "loss": "dpo",
        "lr": settings["lr"],
        "scheduler": "constant",
        "warmup_ratio": 0.0,
        "epochs": settings["epochs"],
        "batch_size": settings["batch_size"],
        "max_length": settings["max_length"],
        "tokens_per_batch": settings["tokens_per_batch"],
        "eval_split": 0.0,
        "logging_steps": 1,
        "save_steps": 1_000_000,
        "device": "cpu" if settings["device"] == "cpu" else "auto",
        "bf16": settings["device"] != "cpu",
        # asked online it keeps nothing, and the option is refused
        "reference_cache": None if "reference_logps" in settings["how"] else "none",
        "seed": SEED,
        "set": ("save_strategy=no", "disable_tqdm=true"),
    }
    return checked_options(TrainOptions(**(fields | settings["how"])))


@contextmanager
def switched_off(without: list[str]) -> Iterator[None]:
    """Switch packing off, if asked: one pair to a row."""
    from mmpo_core.engine import rows

    if "several pairs" not in without:
        yield
        return
    several = rows.fill_rows

    def one_each(pool: Any, width: int, count: int, pairs: int | None) -> list[list[int]]:
        most = count if pairs is None else min(count, pairs)
        filled = (list(pool.take_for(width, 1)) for _ in range(most))
        return [row for row in filled if row]

    rows.fill_rows = one_each  # type: ignore[assignment]
    try:
        yield
    finally:
        rows.fill_rows = several


def use_own_logits(model: Any) -> None:
    """Have log-probs computed from the model's own logits, as for models that chunks do not fit."""
    from mmpo_core.engine import scoring

    scoring._SCORERS[model] = scoring.Scorer(why_not="switched off by the benchmark")


def sweep(settings: Settings) -> dict[str, Any]:
    """Run `margintool sweep` over gammas; count its tokens."""
    from dataclasses import asdict

    from mmpo_core.sweep import sweeping

    fields = asdict(our_options(settings))
    for name in ("seed", "split_seed", "resume"):  # a sweep's own
        del fields[name]
    lists = {"gamma": tuple(settings["gammas"]), "seeds": f"{SEED},"}
    result = sweeping.sweep(**fields | lists | {"split_seed": SEED, "eval_gamma": "file"})
    runs = []
    for one, row in zip(result.plan.runs, result.rows, strict=True):
        if row["status"] == "failed":
            raise RuntimeError(f"gamma {one.run.options.gamma}: {row['message']}")
        record = json.loads((one.run.options.folder / "run.json").read_text())
        runs.append({"gamma": one.run.options.gamma, "reference": record["reference"]})
    return {"runs": runs, "tokens": dict(COUNTED)}


# tokens that went through a decoder, padding included
COUNTED = {"trained": 0, "forward only": 0}


def count_tokens() -> None:
    """Count the tokens of every forward pass from here on."""
    import torch
    from transformers.models.mistral.modeling_mistral import MistralModel

    own = MistralModel.forward

    def forward(self: Any, input_ids: Any = None, **inputs: Any) -> Any:
        COUNTED["trained" if torch.is_grad_enabled() else "forward only"] += input_ids.numel()
        return own(self, input_ids=input_ids, **inputs)

    MistralModel.forward = forward


class Measured:
    """Seconds of stages, tokens and memory."""

    def __init__(self) -> None:
        self._gpu = cuda()
        self._memory_before = status_mb("VmRSS")
        self._cpu_before = time.process_time()
        self._now = time.perf_counter()
        self.stages: dict[str, float] = {}
        self.cpu_seconds = float("nan")

    def lap(self, stage: str) -> None:
        """End a stage."""
        if self._gpu:
            self._gpu.synchronize()
        now = time.perf_counter()
        self.stages[stage], self._now = now - self._now, now
        self.cpu_seconds = time.process_time() - self._cpu_before

    def result(self, history: list[dict[str, Any]], pairs: int) -> dict[str, Any]:
        seconds = sum(self.stages.values())
        return {
            "pairs": pairs,
            "seconds": seconds,
            "cpu_seconds": self.cpu_seconds,
            "stages": self.stages,
            "tokens": dict(COUNTED),
            "before_mb": self._memory_before,
            "peak_mb": status_mb("VmHWM"),
            "gpu_peak_mb": self._gpu and self._gpu.max_memory_allocated() / 2**20,
            # by the trainer's own log: its mean over the run comes last and is none of a step
            "losses": [entry["loss"] for entry in history if "loss" in entry],
        }


def cuda() -> Any:
    """Return torch.cuda, or None without a GPU."""
    import torch

    return torch.cuda if torch.cuda.is_available() else None


def status_mb(name: str) -> float:
    """Return a number of /proc/self/status (Linux) in MB; NaN where there is none."""
    path = Path("/proc/self/status")
    if not path.exists():
        return float("nan")
    lines = path.read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


JOBS = {"make": train_data.make, "rate": train_floor.rate, "trl": trl, "ours": ours, "sweep": sweep}


def main() -> None:
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    logging.disable(logging.WARNING)
    if name in ("trl", "ours", "sweep"):
        import torch

        torch.set_num_threads(settings["threads"])
        count_tokens()
    print(json.dumps(JOBS[name](settings)))


if __name__ == "__main__":
    main()

"""The tables of benchmarks/train.py."""

import argparse
from itertools import pairwise
from typing import Any

from train_contenders import BREAKDOWN, ONE_OFF

# quicker / slower -> what it is called
SPEED = (("trl", "shared"), ("trl-pre", "shared"), ("trl-kept", "shared"), ("padded", "shared"))


def show_case(case: dict[str, Any], options: argparse.Namespace) -> None:
    prompt, chosen, rejected = (total / case["pairs"] for total in case["lengths"])
    print(
        f"\n{case['shape']}, vocabulary {case['vocabulary']:,}: {case['pairs']} pairs, mean tokens "
        f"{prompt:.0f} + {chosen:.0f} | {rejected:.0f}, {options.batch_size} a step, "
        f"{options.epochs} epoch(s); {case['parameters'] / 1e6:.1f} M parameters, "
        f"{options.device}, {options.threads} threads, load {case['load']:.1f}"
    )
    print(
        f"products run at {case['rate'] / 1e9:,.1f} GFLOP/s; floor {case['floor']:.2f} s, "
        f"{case['floor_cached']:.2f} s with the reference cached; "
        f"{case['tokens_packed']:,} tokens packed without padding\n"
    )
    head = ("seconds", "CPU s", "pairs/s", "/ floor", "peak MB", "over start", "tokens fw", "fw+bw")
    print(f"{'':<15}" + "".join(f"{name:>11}" for name in head))
    for name, run in case["best"].items():
        print(
            f"{name:<15}" + ("  failed: " + run["failed"] if "failed" in run else cells(case, run))
        )
    if options.device != "cpu":
        show_gpu(case, options)
    show_ratios(case["best"])
    show_losses(case["best"])


def cells(case: dict[str, Any], run: dict[str, Any]) -> str:
    reference = run.get("reference")
    cached = reference is not None and reference["computed"] == 0
    floor = case["floor_cached" if cached else "floor"]
    return (
        f"{run['seconds']:>11.2f}{run['cpu_seconds']:>11.1f}{run['pairs'] / run['seconds']:>11.2f}"
        f"{run['seconds'] / floor:>11.2f}{run['peak_mb']:>11,.0f}"
        f"{run['peak_mb'] - run['before_mb']:>11,.0f}"
        f"{run['tokens']['forward only']:>11,}{run['tokens']['trained']:>11,}"
    )


def show_gpu(case: dict[str, Any], options: argparse.Namespace) -> None:
    """Show tokens a second, utilisation by the operations that are needed, and peak memory."""
    print(f"\n{'':<15}{'tokens/s':>11}{'MFU':>11}{'of rate':>11}{'GPU MB':>11}")
    for name, run in case["best"].items():
        if "failed" in run:
            continue
        reference = run.get("reference")
        cached = reference is not None and reference["computed"] == 0
        needed = case["operations"]["training"] + (not cached) * case["operations"]["reference"]
        rate = needed / run["seconds"]
        print(
            f"{name:<15}{case['tokens_packed'] * options.epochs / run['seconds']:>11,.0f}"
            f"{rate / options.peak_tflops / 1e12:>11.1%}{rate / case['rate']:>11.1%}"
            f"{run['gpu_peak_mb'] or 0:>11,.0f}"
        )


def show_ratios(runs: dict[str, dict[str, Any]]) -> None:
    good = {name: run for name, run in runs.items() if "failed" not in run}
    print()
    for slower, quicker in SPEED:
        if slower in good and quicker in good:
            times = good[slower]["seconds"] / good[quicker]["seconds"]
            memory = good[quicker]["peak_mb"] / good[slower]["peak_mb"]
            print(f"{quicker}: {times:.2f} times as fast as {slower}, {memory:.0%} of its memory")
    for one, other in pairwise(BREAKDOWN):
        if one in good and other in good:
            times = good[one]["seconds"] / good[other]["seconds"]
            saved = good[one]["peak_mb"] - good[other]["peak_mb"]
            print(f"  {one} -> {other}: {times:.2f} times as fast, {saved:+,.0f} MB less")
    for name in ONE_OFF:
        if name in good and "shared" in good:
            times = good[name]["seconds"] / good["shared"]["seconds"]
            print(f"  {name} instead of shared: {times:.2f} times the time")


def show_losses(runs: dict[str, dict[str, Any]]) -> None:
    """Show each step's loss, and how far the contenders are apart."""
    losses = {name: run["losses"] for name, run in runs.items() if "failed" not in run}
    if not losses:
        return
    first, *_ = losses
    print("\nloss by step")
    for name, steps in losses.items():
        apart = max(abs(a - b) for a, b in zip(steps, losses[first], strict=False))
        shown = " ".join(f"{loss:.4f}" for loss in steps[:8])
        print(f"{name:<15}{shown}   at most {apart:.1e} from {first}")
        if abs(steps[0] - losses[first][0]) > 1e-3:
            print(f"{'':<15}NOT THE SAME PAIRS OR WEIGHTS: first losses differ")


def show_sweep(found: dict[str, Any]) -> None:
    print("\nmargintool sweep over gamma: tokens through the model, padding included")
    if "failed" in found:
        print(f"failed: {found['failed']}")
        return
    alone = found["alone"]
    print(f"{'':<20}{'forward+backward':>18}{'reference':>12}{'pairs from cache':>18}")
    trained, reference = alone["tokens"]["trained"], alone["reference"]["forward_tokens"]
    print(f"{'a run by itself':<20}{trained:>18,}{reference:>12,}{0:>18}")
    for run in found["runs"]:
        about = run["reference"]
        tokens, cached = about["forward_tokens"], about["from_cache"]
        print(f"{'  gamma ' + str(run['gamma']):<20}{'':>18}{tokens:>12,}{cached:>18}")
    tokens, asked = found["tokens"], sum(r["reference"]["forward_tokens"] for r in found["runs"])
    print(f"{'the sweep':<20}{tokens['trained']:>18,}{asked:>12,}")
    print(
        f"that is {tokens['trained'] / trained:.3f} training passes and {asked / reference:.3f} "
        f"reference passes; {tokens['forward only'] - asked:,} more tokens forward for the "
        "evaluation of held-out pairs and the check of packing\n"
    )

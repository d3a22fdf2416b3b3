"""How fast are judges asked, and how much memory does it take? Run: python benchmarks/judge.py

The stand-in judge answers after 200 ms in a process of its own; 64 requests are in flight, so
that 320 a second are the most there can be. Measured side by side, in turn, each in a process of
its own, and only while requests are sent (questions are planned before, apart):

    bare     the same requests with aiohttp alone, nothing parsed or kept: the floor
    sdk      the same with OpenAI's SDK, nothing kept
    score    `margintool score --source gpt4`: every reply parsed and on the disk

Then where the CPU time of `score` goes; and the peak memory of planning questions, of sending them
without latency, and of scoring by the journal.
Prints tables and JSON. Server and client share the machine, so that rates fall where others keep
its cores busy: how many cores they took is told for each run, where the system tells it (Linux).
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOBS = Path(__file__).with_name("judge_jobs.py")
SIZES = (1_000, 10_000, 50_000)


@dataclass(frozen=True)
class Server:
    """A running stand-in judge."""

    url: str
    pid: int


@contextmanager
def mock_server(latency: float) -> Iterator[Server]:
    """Run a stand-in judge until the block ends."""
    command = [sys.executable, "-m", "margintool", "judge", "mock-server", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--latency", str(latency)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield Server(server.stdout.readline().split(" at ")[1].split()[0], server.pid)
    finally:
        server.terminate()
        server.communicate()


def job(name: str, *arguments: object) -> dict[str, Any]:
    """Run a job in a fresh interpreter."""
    command = [sys.executable, str(JOBS), name, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def cpu_seconds(pid: int | None = None) -> float:
    """Return the CPU seconds of a process, or of the whole machine; NaN where nothing tells."""
    path = Path("/proc/stat" if pid is None else f"/proc/{pid}/stat")
    if not path.exists():
        return math.nan
    fields = path.read_text().splitlines()[0].rsplit(")")[-1].split()
    # proc(5): user nice system idle iowait irq softirq steal; or utime and stime of a process.
    spent = [*fields[1:4], *fields[6:9]] if pid is None else fields[11:13]
    return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")


def watched(server: Server, name: str, *arguments: object) -> dict[str, Any]:
    """Run a job that asks a server; add the cores that other processes took meanwhile."""
    clocks = [time.perf_counter(), cpu_seconds(), cpu_seconds(server.pid)]
    found = job(name, *arguments)
    after = [time.perf_counter(), cpu_seconds(), cpu_seconds(server.pid)]
    seconds, all_cpu, server_cpu = (b - a for a, b in zip(clocks, after, strict=True))
    others = (all_cpu - server_cpu - found["cpu_total"]) / seconds
    return {**found, "others": others, "server_cpu": server_cpu}


def rates(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure requests a second, each way of sending `--repeat` times in turn."""
    source, requests = folder / "rate.jsonl", options.requests
    job("make", source, requests)
    runs: dict[str, list[dict[str, float]]] = {"bare": [], "sdk": [], "score": []}
    planning = []
    with mock_server(options.latency) as server:
        asked = (server.url, options.concurrency)
        for turn in range(options.repeat):
            out = folder / f"{turn}.parquet"
            run = watched(server, "score", source, out, *asked)
            planning.append(requests / run["stages"]["questions"]["seconds"])
            runs["score"].append({**run, **run["stages"]["judging"], "requests": requests})
            journal = out.with_suffix(".journal.sqlite")
            for name in ("bare", "sdk"):
                runs[name].append(watched(server, name, journal, *asked))
        again = job("score", source, out, *asked)["stages"]
        profiled = job("score", source, folder / "profiled.parquet", *asked, "yes")
    ideal = options.concurrency / options.latency
    return {
        "requests": requests,
        "ideal": ideal,
        "ways": {name: summary(found, ideal) for name, found in runs.items()},
        "planned_per_second": max(planning),
        "known_per_second": requests / again["questions"]["seconds"],
        "looked_up_per_second": requests / job("look_up", journal)["seconds"],
        "shares": profiled["shares"],
    }


def summary(runs: list[dict[str, Any]], ideal: float) -> dict[str, Any]:
    """Return the rates of all runs, as shares of the ideal too, and the least CPU a request."""
    by_run = [run["requests"] / run["seconds"] for run in runs]
    found = {
        "rates": by_run,
        "others": [run["others"] for run in runs],
        "median": statistics.median(by_run) / ideal,
        "best": max(by_run) / ideal,
    }
    for name in ("cpu", "server_cpu", "cpu_other_threads"):
        if name in runs[0]:
            found[f"{name}_ms"] = min(1000 * run[name] / run["requests"] for run in runs)
    return found


def memory(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the peaks of planning, sending and scoring, each in a process of its own."""
    found = []
    for requests in options.sizes:
        source, out = folder / f"{requests}.jsonl", folder / f"{requests}.parquet"
        journal = out.with_suffix(".journal.sqlite")
        job("make", source, requests)
        with mock_server(0.0) as server:
            asked = (server.url, options.concurrency)
            steps = {
                "plan": job("plan", source, journal, server.url),
                "send": job("send", journal, *asked),
                "score": job("score", source, out, *asked),
            }
        seconds = sum(stage["seconds"] for stage in steps["score"].pop("stages").values())
        steps["score"]["seconds"] = seconds
        found.append({"requests": requests, **steps})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4_000, help="per run of a rate")
    parser.add_argument("--repeat", type=int, default=3, help="runs of a rate")
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="requests, for memory")
    parser.add_argument("--folder", type=Path, help="where to write, for a while")
    parser.add_argument("--json", type=Path, help="write the results there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        results = {"rate": rates(Path(temporary), options)}
        results["memory"] = memory(Path(temporary), options)
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


def show(results: dict[str, Any]) -> None:
    rate = results["rate"]
    print(f"{rate['requests']:,} requests; ideal {rate['ideal']:.0f} a second\n")
    print(f"{'':<7}{'median':>8}{'best':>7}{'CPU ms a request':>18}  a second (others' cores)")
    for name, way in rate["ways"].items():
        pairs = zip(way["rates"], way["others"], strict=True)
        each = "  ".join(f"{one:.0f} ({others:.2f})" for one, others in pairs)
        print(f"{name:<7}{way['median']:>8.0%}{way['best']:>7.0%}{way['cpu_ms']:>18.2f}  {each}")
    scored = rate["ways"]["score"]
    print(f"of score's CPU, its journal's thread: {scored['cpu_other_threads_ms']:.2f} ms")
    print(f"the server's CPU: {scored['server_cpu_ms']:.2f} ms a request\n")
    print(f"questions planned     {rate['planned_per_second']:>10,.0f} a second")
    print(f"questions found again {rate['known_per_second']:>10,.0f} a second")
    print(f"verdicts looked up    {rate['looked_up_per_second']:>10,.0f} a second")
    print("\nwhere the CPU time goes while requests are sent (sampled)")
    for name, share in list(rate["shares"].items())[:16]:
        print(f"{share:>7.1%}  {name}")
    print("\npeak MB and seconds of each step in a process of its own, without latency")
    steps = ("plan", "send", "score")
    print(f"{'requests':<10}" + "".join(f"{name:>18}" for name in steps))
    for run in results["memory"]:
        cells = (f"{run[name]['peak_mb']:>9.0f}{run[name]['seconds']:>9.1f}" for name in steps)
        print(f"{run['requests']:<10,}" + "".join(cells))
    print("\n" + json.dumps(results))


if __name__ == "__main__":
    main()

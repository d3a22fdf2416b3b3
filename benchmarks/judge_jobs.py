"""What benchmarks/judge.py runs, each job in a process of its own; it prints JSON at its end."""

import asyncio
import json
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

MODEL = "mock-judge"
WORDS = (20, 160)  # of an answer: about 600 bytes
SAMPLE_SECONDS = 0.002

Body = dict[str, Any]


def make(path: str, requests: str) -> dict[str, Any]:
    """Write pairs, so many that rating each answer takes so many requests."""
    rng, words = random.Random(0), [f"word{n}" for n in range(2000)]

    def answer(number: int) -> str:
        return f"Answer {number}: " + " ".join(rng.choices(words, k=rng.randint(*WORDS)))

    with Path(path).open("w") as file:
        for n in range(int(requests) // 2):
            pair = {"chosen": answer(2 * n), "rejected": answer(2 * n + 1)}
            file.write(json.dumps({"prompt": f"Question {n}?", **pair}) + "\n")
    return {}


class Stages:
    """A progress that takes the time: stage -> seconds, CPU seconds and those of other threads."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self._now: tuple[str, list[float]] | None = None

    def start(self, stage: str, _total: int | None) -> None:
        clocks = [time.perf_counter(), time.process_time(), time.thread_time()]
        if self._now is not None:
            name, before = self._now
            seconds, cpu, own = (b - a for a, b in zip(before, clocks, strict=True))
            self.found[name] = {"seconds": seconds, "cpu": cpu, "cpu_other_threads": cpu - own}
        self._now = stage, clocks

    def advance(self, _amount: int) -> None:
        pass

    def note(self, _text: str) -> None:
        pass


def score(source: str, out: str, url: str, concurrency: str, profiled: str = "") -> dict[str, Any]:
    """Run `margintool score`; return its stages, and where their CPU time went if wanted."""
    from margintool.pipeline import run_score
    from margintool.score_options import ScoreOptions

    stages = Stages()
    options = ScoreOptions(
        source="gpt4",
        input=source,
        out=out,
        overwrite=True,
        judge_model=(MODEL,),
        base_url=url,
        concurrency=int(concurrency),
    )
    samples: Counter[str] = Counter()
    with sampled(samples, lambda: stages._now) if profiled else nothing():
        run_score(options, stages)
    stages.start("end", None)
    total = samples.total()
    shares = {name: times / total for name, times in samples.most_common()}
    return {"stages": stages.found, "shares": shares}


def plan(source: str, journal: str, url: str) -> dict[str, Any]:
    """Put the questions about an input into a journal; nothing is sent but the probe."""
    from margintool.judge.enquire import open_questions
    from margintool.judging import items_of, plan_of
    from margintool.progress import no_progress
    from margintool.score_options import AskOptions

    planned = plan_of(AskOptions(input=source, journal=journal, judge_model=(MODEL,), base_url=url))
    assert planned.judging is not None
    started = time.perf_counter()
    with open_questions(planned.judging, items_of(planned), no_progress):
        return {"seconds": time.perf_counter() - started}


def send(journal: str, url: str, concurrency: str) -> dict[str, Any]:
    """Run `margintool judge run` on all that waits in a journal."""
    from margintool.judge_runs import run_judge
    from margintool.score_options import AskOptions

    outcome, _ = run_judge(AskOptions(journal=journal, base_url=url, concurrency=int(concurrency)))
    return {"seconds": outcome.seconds, "requests": outcome.answered}


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def sampled(samples: Counter[str], stage: Callable[[], Any]) -> Iterator[None]:
    """Count, while requests are sent, in which package this thread is at each tick of CPU time."""

    def tick(_number: int, frame: FrameType | None) -> None:
        now = stage()
        if now is not None and now[0] == "judging" and frame is not None:
            samples[package(frame.f_code.co_filename)] += 1

    signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def package(file: str) -> str:
    """Return the package, or the module of the standard library, of a source file."""
    parts = Path(file).parts
    if "margintool" in parts:
        return "margintool/" + Path(file).stem
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    if parts[-1] == "selectors.py":
        return "waiting, or the journal's thread"
    return "stdlib " + next((part for part in parts if part in ("asyncio", "json")), parts[-1])


def bodies(journal: str) -> list[Body]:
    from margintool.judge.journal.journal import Journal

    with Journal.open(journal, write=False) as opened:
        return [dict(row.request.body) for row in opened.all_rows()]


def bare(journal: str, url: str, concurrency: str) -> dict[str, Any]:
    """Send the same bodies with aiohttp alone: nothing parsed, nothing kept. The floor."""
    import aiohttp

    async def run() -> dict[str, float]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one(body: Body) -> None:
                async with session.post(f"{url}/chat/completions", json=body) as reply:
                    await reply.read()

            return await workers(bodies(journal), int(concurrency), one)

    return asyncio.run(run())


def sdk(journal: str, url: str, concurrency: str) -> dict[str, Any]:
    """Send the same bodies with OpenAI's SDK as its README does: nothing kept."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async def run() -> dict[str, float]:
        http = DefaultAioHttpClient()
        async with AsyncOpenAI(base_url=url, api_key="none", http_client=http) as client:

            async def one(body: Body) -> None:
                await client.chat.completions.create(**body)

            return await workers(bodies(journal), int(concurrency), one)

    return asyncio.run(run())


async def workers(
    waiting: list[Body], concurrency: int, one: Callable[[Body], Awaitable[None]]
) -> dict[str, float]:
    """Send all bodies, so many at a time; return seconds and CPU seconds."""
    number, rest = len(waiting), iter(waiting)

    async def work() -> None:
        for body in rest:
            await one(body)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    spent = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    return {**spent, "requests": number}


def look_up(journal: str) -> dict[str, Any]:
    """Look all verdicts up by their keys, a thousand at a time; return seconds."""
    from margintool.judge.journal.journal import Journal

    with Journal.open(journal, write=False) as opened:
        keys = [row.request.key for row in opened.all_rows()]
        random.Random(0).shuffle(keys)
        started = time.perf_counter()
        for first in range(0, len(keys), 1000):
            opened.verdicts(keys[first : first + 1000])
        return {"seconds": time.perf_counter() - started, "requests": len(keys)}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "make": make,
    "score": score,
    "plan": plan,
    "send": send,
    "bare": bare,
    "sdk": sdk,
    "look_up": look_up,
}


def main() -> None:
    name, *arguments = sys.argv[1:]
    found = JOBS[name](*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "peak_mb": peak, "cpu_total": time.process_time()}))


if __name__ == "__main__":
    main()

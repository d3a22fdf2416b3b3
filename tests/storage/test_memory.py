"""Peak memory does not grow with the file: a reader in its own process, on two sizes."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = "some words that fill a line, " * 30

PEAK = """
status = Path("/proc/self/status").read_text()  # not ru_maxrss, which the parent's peak enters
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
print(rows, int(peak) // 1024)
"""

READ = """
import sys
from pathlib import Path
from margintool.storage import open_input
rows = sum(batch.table.num_rows for batch in open_input(sys.argv[1]).batches())
"""

GATHER = """
import sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from margintool.storage import Spill
with Spill(Path(sys.argv[1])) as spill:
    for start in range(0, 80_000, 1000):
        spill.append(pa.table({"text": [f"{start} " + "x" * 1800] * 1000}))
    spill.finish()
    order = np.random.default_rng(0).permutation(80_000)
    rows = sum(spill.gather(order[i : i + 4000]).num_rows for i in range(0, 80_000, 4000))
"""


def _peak(path: Path, rows: int, code: str = READ) -> int:
    """Run `code` on `path` in a new process; return its peak resident memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", code + PEAK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    found, peak = done.stdout.split()
    assert int(found) == rows
    return int(peak)


def _write(path: Path, rows: int) -> Path:
    if path.suffix == ".parquet":
        prompts, answers = ([f"{n} {TEXT}" for n in range(rows)] for _ in range(2))
        table = pa.table({"prompt": prompts, "answer": answers})
        pq.write_table(table, path, row_group_size=rows, use_dictionary=False)
        return path
    head, form, join, end = FORMS[path.suffix]
    with path.open("w") as file:
        file.write(head)
        for n in range(rows):
            file.write((join if n else "") + form % (n, TEXT, TEXT))
        file.write(end)
    return path


RECORD = '{"prompt": "%d %s", "answer": "%s"}'
FORMS = {
    ".jsonl": ("", RECORD, "\n", "\n"),
    ".json": ("[", RECORD, ",", "]"),
    ".csv": ("prompt,answer\n", '"%d %s","%s"', "\n", "\n"),
}


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads Linux's /proc"
)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_peak_memory_hardly_grows_with_the_file(suffix: str, tmp_path: Path) -> None:
    """35 MB and 280 MB of text: were the file held, the peak would grow by 245 MB. What is read
    ahead and the allocator's own stock were measured at 30 to 70 MB, more on a busy machine.
    """
    small = _peak(_write(tmp_path / f"s{suffix}", 20_000), 20_000)
    large = _peak(_write(tmp_path / f"l{suffix}", 160_000), 160_000)
    assert large < small + 125
    assert large < 450


def test_gathering_all_rows_of_a_spill_does_not_map_it_all(tmp_path: Path) -> None:
    """144 MB of text in the spill. A peak below that and the 4,000 rows asked for (7 MB) shows
    that pages are given back; a process with pyarrow alone takes about 70 MB."""
    assert _peak(tmp_path, 80_000, GATHER) < 190

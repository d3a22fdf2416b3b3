"""What a page says first, and what it warns of."""

import base64
import json
import os
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from margintool.page.evaluations import metric_blocks
from margintool.page.folders import read_folders
from margintool.page.opening import opening_blocks
from margintool.page.pair_files import find_pair_files
from margintool.page.pictures import embedded
from margintool.page.sweeps import sweep_section
from margintool.page.views import Paragraph, Part, Table, unless_long
from margintool.report.rows import Grid
from mmpo_core.evaluate.evaluating import evaluate_predictions
from mmpo_core.run_record import fingerprint
from tests.report_page.made import predictions, write_pair_file
from tests.report_page.made_results import write_experiment


def _difference(metric: str, value: float, low: float | None, high: float | None) -> dict[str, Any]:
    interval = {"value": value, "low": low, "high": high, "p": 0.0004}
    return {"a": "mmpo", "b": "dpo", "metric": metric, **interval}


# Less NLL is better, more accuracy is, less ECE is; Brier's interval holds 0.
DIFFERENCES = [
    _difference("accuracy", -0.2, -0.3, -0.1),
    _difference("nll", -0.125, -0.25, -0.0625),
    _difference("brier", 0.01, -0.01, 0.03),
    _difference("ece", 0.1, 0.05, 0.15),
    _difference("reward_margin", 1.0, 0.5, 1.5),
]


@cache
def _measured() -> str:
    """What is the same in every evaluation here, as JSON."""
    h = {"mmpo": [1.0] * 12, "dpo": [0.0] * 12}
    return json.dumps(
        evaluate_predictions({name: predictions(one) for name, one in h.items()}, resamples=0)
    )


def _evaluation(folder: Path, differences: list[dict[str, Any]], **data: Any) -> Path:
    content = {
        **json.loads(_measured()),
        "data": data,
        "differences": differences,
        "versions": {"margintool": "7.1", "torch": "9.2"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(content))
    # 2001-09-09 01:46:40 UTC
    os.utime(folder / "evaluation.json", (1_000_000_000, 1_000_000_000))
    return folder


def _opening(path: Path) -> list[str]:
    blocks = opening_blocks(read_folders([path]))
    return [block.text for block in blocks if isinstance(block, Paragraph)]


def test_a_verdict_names_what_is_better_what_worse_and_what_open(tmp_path: Path) -> None:
    verdict, _, origin = _opening(_evaluation(tmp_path, DIFFERENCES))
    assert verdict == (
        "On the same 12 pairs of 6 prompts, mmpo against dpo: "
        "better in NLL by -0.125 (-0.250 to -0.062); worse in accuracy by -0.200 (-0.300 to "
        "-0.100) and ECE by +0.100 (+0.050 to +0.150); no clear difference in Brier."
    )
    assert origin == "Results of 2001-09-09, by margintool 7.1, torch 9.2."


def test_no_clear_difference_and_no_intervals(tmp_path: Path) -> None:
    """An end at 0 does not leave 0 out; without intervals nothing is said."""
    open_one = [_difference("nll", -0.1, -0.2, 0.0)]
    assert _opening(_evaluation(tmp_path / "a", open_one))[0].endswith(
        "mmpo against dpo: no clear difference (NLL)."
    )
    [origin] = _opening(_evaluation(tmp_path / "b", [_difference("nll", -0.1, None, None)]))
    assert origin.startswith("Results of")


def test_many_models_do_not_fill_the_opening(tmp_path: Path) -> None:
    every = [{**DIFFERENCES[1], "b": f"model {n}"} for n in range(5)]
    said = _opening(_evaluation(tmp_path, every))
    assert sum("mmpo against" in line for line in said) == 3
    assert said[3].startswith("2 more pairs of models")


def test_what_was_trained_on_is_warned_of(tmp_path: Path) -> None:
    seen = {"mmpo": {"pairs": 9, "prompts": 5}, "dpo": None, "base": {"pairs": 0, "prompts": 0}}
    path = _evaluation(tmp_path, DIFFERENCES, trained_on=seen)
    warning = "Warning: mmpo was trained on 9 pairs and on 5 prompts"
    assert [line.startswith(warning) for line in _opening(path)] == [False, True, False, False]
    blocks = metric_blocks(read_folders([path]).evaluations[0])
    said = [block.text for block in blocks if isinstance(block, Paragraph)]
    assert said[0].startswith(warning)
    assert "whether dpo had seen" in said[1]
    assert "base" not in " ".join(said)


def test_differences_are_written_as_evaluate_prints_them(tmp_path: Path) -> None:
    blocks = metric_blocks(read_folders([_evaluation(tmp_path, DIFFERENCES)]).evaluations[0])
    [table] = [one for one in blocks if isinstance(one, Table) and "less" in one.caption]
    assert table.caption == "mmpo less dpo, on the same pairs"
    assert list(table.grid.rows[1]) == [
        "NLL (less is better)",
        "-0.125 (-0.250 to -0.062)",
        "0.000",
    ]


def test_pair_files_of_an_experiment_that_was_moved(tmp_path: Path) -> None:
    """evaluation.json names a path that is no more; the experiment's own data are looked at."""
    experiment = write_experiment(tmp_path / "exp")
    pairs = write_pair_file(tmp_path / "pairs.parquet")
    about = {"path": str(pairs), "fingerprint": fingerprint(pairs)}
    _evaluation(experiment / "evaluations" / "e", [], **about)
    (experiment / "data").mkdir()
    pairs.rename(experiment / "data" / "held-out.parquet")
    files, missing = find_pair_files(read_folders([experiment]), [])
    assert missing == []
    assert [file.path.name for file in files] == ["held-out.parquet"]


def test_one_setting_is_not_called_the_best(tmp_path: Path) -> None:
    setting = {"loss": "dpo", "beta": 0.1, "seeds": [0], "nll": {"mean": 0.5, "spread": None}}
    best = {"setting": {"loss": "dpo"}, "within_seeds_spread": None}
    content = {"runs": [], "settings": [setting], "best_by_nll": best}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    [sweep] = read_folders([tmp_path]).sweeps
    [table] = sweep_section(sweep, 1).blocks
    assert isinstance(table, Table)
    assert "0.500" in table.grid.rows[0]


def test_long_tables_are_folded() -> None:
    short, long = (Table("c", Grid(("a",), [("x",)] * rows)) for rows in (12, 13))
    assert unless_long(short) is short
    assert isinstance(unless_long(long), Part)


@pytest.mark.parametrize("dots", [96, 192])
def test_pictures_keep_their_size_and_lose_colors(tmp_path: Path, dots: int) -> None:
    """100 x 50 dots at 192 an inch are 50 x 25 CSS pixels."""
    path = tmp_path / "p.png"
    Image.radial_gradient("L").resize((100, 50)).convert("RGB").save(path, dpi=(dots, dots))
    picture = embedded(path, "alt")
    assert (picture.width, picture.height) == (100 * 96 // dots, 50 * 96 // dots)
    kind, content = picture.source.split(",")
    assert kind == "data:image/png;base64"
    assert Image.open(BytesIO(base64.b64decode(content))).getcolors(255) is not None

"""The terminal report: what it says, its width, and that texts from the file cannot harm it."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from margintool.report.facts import Histogram
from margintool.report.histogram_text import histogram_lines
from margintool.report.inspecting import inspect_pairs
from margintool.report.text import print_report
from margintool.report.words import number, share, visible
from mmpo_core.schema import PAIR_SCHEMA


def shown(path: Path, width: int = 80, encoding: str = "utf-8", **options: Any) -> str:
    """Return what print_report writes for a file."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_report(inspect_pairs(path, **options), Console(file=stream, width=width))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_every_section_is_there(pair_file: Path) -> None:
    text = shown(pair_file)
    for words in (
        "4 pairs",
        "1 ties (25.0%)",
        "kept in full",
        "votes_negative 5",
        "log-ratio (log-odds)",
        "2 (given)",
        "xxh3:12",
        "Histogram of margin",
        "0 (ties)",
        "Length bias",
        "33.3%",
        "different prompts",
        "1: 2 prompts, 2: 1",
        "dritte Frage hier",
    ):
        assert words in text, words


def test_breaches_are_listed(broken_file: Callable[..., Path]) -> None:
    text = shown(broken_file(drop=("weight",), margin=[0.0, 1.0, -2.0, 3.0]), width=200)
    assert "broken in 2 ways" in text
    assert "column 'weight' is missing" in text
    assert "column 'margin' is -2.0 in row 2, expected a finite number >= 0" in text


def test_columns_are_whole_in_80_characters(pair_file: Path) -> None:
    text = shown(pair_file)
    for name in PAIR_SCHEMA.names:
        assert f"  {name} " in text
    assert "list<struct<role: string, content: string>>" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(pair_file: Path, width: int) -> None:
    lines = shown(pair_file, width, sample=4).splitlines()
    assert max(map(len, lines)) <= width


def test_no_colour_codes_when_not_a_terminal(pair_file: Path) -> None:
    assert "\x1b" not in shown(pair_file, sample=4)


def test_plain_ascii_terminals_get_plain_bars(broken_file: Callable[..., Path]) -> None:
    text = shown(broken_file(prompt=["naïve 日本", "b", "c", "d"]), encoding="ascii", sample=4)
    assert "####" in text
    assert "na?ve ??" in text


def test_sample_shows_history_scores_margin_and_target(pair_file: Path) -> None:
    text = shown(pair_file, sample=4)
    assert "be brief" in text
    assert "chosen (score 3)" in text
    assert "margin_raw 2, margin 2, p_chosen 0.982, weight 4, gamma 2" in text


def test_long_texts_are_cut_with_the_rest_counted(broken_file: Callable[..., Path]) -> None:
    text = shown(broken_file(chosen=["y" * 4000, "b", "c", "d"]), sample=4)
    assert "[... 2,500 more characters]" in text


def test_markup_and_escape_codes_in_texts_are_shown_not_obeyed(
    broken_file: Callable[..., Path],
) -> None:
    text = shown(broken_file(prompt=["[red]hi[/red] \x1b[2J\x07 end", "b", "c", "d"]), sample=4)
    assert "[red]hi[/red]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_file_without_any_contract_column_is_shown(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"question": ["x"]}), tmp_path / "x.parquet")
    text = shown(tmp_path / "x.parquet", width=200)
    assert "broken in 14 ways" in text  # 13 columns and the metadata
    assert "beside the contract" in text


def test_unknown_metadata_is_shown_as_it_is(broken_file: Callable[..., Path]) -> None:
    meta = b'{"schema_version": 1, "gamma": "huge", "normalizer": "mine", "judge": {"name": "x"}}'
    text = shown(broken_file(meta=meta))
    assert "huge" in text
    assert "mine" in text
    assert "name x" in text


def test_bars_are_in_proportion() -> None:
    """Width 39: label 10, count 2, so bars have 39 - 10 - 2 - 6 = 21 cells; 5 of 10 is 10.5."""
    found = Histogram("margin", 10, [0.0, 1.0, 2.0], [], [5, 0])
    lines = histogram_lines(found, Console(width=39, file=io.StringIO())).plain.splitlines()
    assert lines[0].count("█") == 21
    assert lines[1].endswith("█" * 10 + "▌")
    assert lines[2].endswith(" 0")


def test_a_single_pair_in_a_bin_is_never_invisible() -> None:
    found = Histogram("margin", 0, [0.0, 1.0, 2.0], [], [1_000_000, 1])
    lines = histogram_lines(found, Console(width=60, file=io.StringIO())).plain.splitlines()
    assert lines[1].endswith("▏")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (0.010106, "0.01011"), (4345.2, "4,345"), (1e-9, "1.00e-09"), (3e12, "3.00e+12")],
)
def test_numbers_are_short(value: float, words: str) -> None:
    assert number(value) == words


def test_share_of_nothing() -> None:
    assert share(0, 0) == "-"
    assert share(1, 8) == "12.5%"


def test_visible_keeps_newlines_and_replaces_controls() -> None:
    assert visible("a\r\nb\tc\x00\x9b\u202e") == "a\nb\tc\ufffd\ufffd\ufffd"

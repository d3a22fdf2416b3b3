"""`margintool card`: valid front matter, the file's own numbers, and a folder the hub can read."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard

from margintool.card.command_line import score_command
from margintool.card.front_matter import front_matter, size_category
from margintool.card.origins import ORIGINS, licence_of
from margintool.card.writing import write_card
from margintool.sources import SOURCES
from mmpo_core.errors import InputError
from mmpo_core.pair_file import write_pairs
from mmpo_core.schema import MEANINGS, PAIR_SCHEMA


def test_front_matter_is_what_the_hub_reads(pair_file: Path) -> None:
    """Read back by two parsers: plain YAML, and the hub's own library."""
    text = write_card(pair_file)
    block = yaml.safe_load(text.split("---\n")[1])
    assert block == DatasetCard(text).data.to_dict()
    assert block["license"] == "unknown"
    assert block["task_categories"] == ["text-generation"]
    assert block["size_categories"] == ["n<1K"]
    assert {"preference", "mmpo", "dpo"} <= set(block["tags"])
    assert block["configs"][0]["data_files"] == [{"split": "train", "path": "pairs.parquet"}]
    assert block["pretty_name"]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**10, "n>1B")],
)
def test_size_categories(pairs: int, words: str) -> None:
    assert size_category(pairs) == words


@pytest.mark.parametrize("name", ["a: b", "[x]", "# no", "'quote\"", "- dash", "äöü"])
def test_any_file_name_gives_valid_yaml(name: str) -> None:
    block = yaml.safe_load(front_matter(name, 1, f"{name}.parquet", "mit", []).split("---\n")[1])
    assert block["pretty_name"] == name
    assert block["configs"][0]["data_files"][0]["path"] == f"{name}.parquet"


def test_load_dataset_on_the_folder_reads_the_pairs_and_not_the_rejects(
    pair_file: Path, tmp_path: Path
) -> None:
    from datasets import load_dataset

    pq.write_table(pq.read_table(pair_file).select(["prompt"]), tmp_path / "pairs.rejects.parquet")
    write_card(pair_file, tmp_path / "README.md")
    loaded = load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert loaded["train"].column_names == PAIR_SCHEMA.names
    assert loaded["train"]["pair_id"][:] == ["a", "b", "c", "d"]


def test_a_card_in_the_folder_above_names_the_file_by_its_path(
    pair_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    moved = pair_file.rename(tmp_path / "data" / "pairs.parquet")
    text = write_card(moved, tmp_path / "README.md")
    assert yaml.safe_load(text.split("---\n")[1])["configs"][0]["data_files"][0]["path"] == (
        "data/pairs.parquet"
    )


def test_the_card_holds_the_files_numbers(pair_file: Path) -> None:
    """Ties 1 of 4; chosen longer in 1 of the 3 pairs with a winner; p of margin 3 is sigma(6)."""
    text = write_card(pair_file)
    assert "| ties | 1 (25.0%) |" in text
    assert "| not used: votes_negative | 5 |" in text
    assert "chosen is longer in 33.3% of the pairs with a winner" in text
    assert "| `margin` | 0 | 0.15 | 0.75 | 1.5 | 2.25 | 2.85 | 3 | 1.5 |" in text
    assert "0.9975" in text
    assert "with gamma = 2.0 (chosen by: given; mean target 0.8)" in text


def test_the_card_defines_the_margin_by_the_registries(pair_file: Path) -> None:
    text = write_card(pair_file)
    assert SOURCES["shp"].margins["log-ratio"] in text
    assert SOURCES["shp"].about in text
    for caveat in ORIGINS["shp"].caveats:
        assert f"- {caveat}" in text


def test_every_column_is_explained(pair_file: Path) -> None:
    text = write_card(pair_file)
    assert list(MEANINGS) == PAIR_SCHEMA.names
    for name, meaning in MEANINGS.items():
        assert f"| `{name}` | " in text
        assert meaning in text


def test_metadata_of_another_tool_gives_a_card_without_guesses(
    tmp_path: Path, pair_file: Path
) -> None:
    write_pairs(pq.read_table(pair_file), tmp_path / "own.parquet", {"schema_version": 1})
    text = write_card(tmp_path / "own.parquet")
    assert "does not record the options" in text
    assert "| Source | not recorded |" in text
    assert "huggingface.co/datasets" not in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("given", "license_id", "dataset"),
    [
        ("openbmb/UltraFeedback", "mit", "openbmb/UltraFeedback"),
        (None, "mit", "openbmb/UltraFeedback"),
        ("nvidia/HelpSteer2", "cc-by-4.0", "nvidia/HelpSteer2"),
        (["a.jsonl", "b.jsonl"], "unknown", None),
        ("./UltraFeedback.jsonl", "unknown", None),
    ],
)
def test_the_licence_is_that_of_a_known_hub_dataset(
    tmp_path: Path,
    pair_file: Path,
    metadata: dict[str, Any],
    given: Any,
    license_id: str,
    dataset: str | None,
) -> None:
    made = {**metadata, "source": "ratings", "options": {"source": "ratings", "input": given}}
    write_pairs(pq.read_table(pair_file), tmp_path / "x.parquet", made)
    text = write_card(tmp_path / "x.parquet")
    block = yaml.safe_load(text.split("---\n")[1])
    assert block["license"] == license_id
    assert block.get("source_datasets") == ([dataset] if dataset else None)
    assert licence_of(given if isinstance(given, str) else "") in ("unknown", license_id)


def test_the_command_has_only_what_differs_from_the_defaults() -> None:
    options = {
        "source": "ratings",
        "input": ["a b.jsonl", "c.jsonl"],
        "out": "elsewhere/x.parquet",
        "map": {"prompt": "question"},
        "margin": "mean",
        "pairing": "all",
        "normalize": "rms",
        "gamma": 2.25,
        "agreement": 0.75,
        "max_pairs_per_prompt": 0,
        "seed": 42,
        "limit": None,
        "overwrite": True,
        "an_option_of_the_future": 1,
    }
    assert score_command(options, "x.parquet") == (
        "margintool score --source ratings --input 'a b.jsonl' --input c.jsonl "
        "--map prompt=question --pairing all --max-pairs-per-prompt 0 --margin mean "
        "--gamma 2.25 --out x.parquet"
    )


def test_the_command_makes_the_file_again(cli: Callable[..., Any], tmp_path: Path) -> None:
    """score, read the command from the card, run it: the pairs are the same."""
    votes = tmp_path / "my votes.csv"
    rows = [f"q{i},good {i},bad {i},{i + 2},{i % 3}" for i in range(12)]
    votes.write_text("prompt,response_a,response_b,votes_a,votes_b\n" + "\n".join(rows) + "\n")
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    made = cli(
        *("score", "--source", "shp", "--input", votes, "--out", first),
        *("--margin", "posterior", "--gamma", "1.5", "--normalize", "log1p", "--limit", "9"),
    )
    assert made.status == 0, made.err
    block = write_card(first).split("```bash\n")[1].split("\n```")[0]
    command = shlex.split(block)
    assert command[0] == "margintool"
    command[command.index("--out") + 1] = str(second)
    assert cli(*command[1:]).status == 0
    assert pq.read_table(first).equals(pq.read_table(second))


def test_a_broken_file_gets_no_card(broken_file: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'weight' is missing.*margintool inspect"):
        write_card(broken_file(drop=("weight",)), tmp_path / "README.md")
    assert not (tmp_path / "README.md").exists()


def test_an_existing_card_is_kept_unless_told(pair_file: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        write_card(pair_file, tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == "mine"
    text = write_card(pair_file, tmp_path / "README.md", overwrite=True)
    assert (tmp_path / "README.md").read_text() == text


def test_the_pair_file_is_never_overwritten_by_its_card(pair_file: Path) -> None:
    with pytest.raises(InputError, match="the pair file itself"):
        write_card(pair_file, pair_file, overwrite=True)


def test_card_command_prints_or_writes(
    cli: Callable[..., Any], pair_file: Path, tmp_path: Path
) -> None:
    printed = cli("card", pair_file)
    assert printed.status == 0
    assert printed.out.startswith("---\nlicense: unknown\n")
    written = cli("card", pair_file, "--out", tmp_path / "README.md")
    assert written.status == 0
    assert (tmp_path / "README.md").read_text() == printed.out.removesuffix("\n")


def test_card_of_a_missing_file(cli: Callable[..., Any], tmp_path: Path) -> None:
    result = cli("card", tmp_path / "none.parquet", "--out", tmp_path / "README.md")
    assert result.status == 2
    assert "no such file" in result.err

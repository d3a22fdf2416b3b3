"""The YAML block that the hub reads at the top of a dataset card. Read by writing.py."""

from collections.abc import Sequence

SIZES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
    100_000_000: "10M<n<100M",
    1_000_000_000: "100M<n<1B",
}
TAGS = ("preference", "mmpo", "dpo", "rlhf", "reward-modeling", "margintool")


def size_category(pairs: int) -> str:
    """Return the hub's size category of a number of rows."""
    return next((name for bound, name in SIZES.items() if pairs < bound), "n>1B")


def front_matter(
    name: str, pairs: int, data_file: str, license_id: str, source_datasets: Sequence[str]
) -> str:
    """Return the block, `---` lines included, so that `load_dataset` on the folder reads the file.

    Args:
        name: what to call the dataset.
        pairs: its number of rows.
        data_file: the Parquet file, relative to the card.
        license_id: the hub's identifier of the licence.
        source_datasets: hub ids of the datasets it was made from.
    """
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        license=license_id,
        size_categories=[size_category(pairs)],
        task_categories=["text-generation"],
        pretty_name=name,
        source_datasets=list(source_datasets) or None,
        tags=list(TAGS),
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": data_file}],
            }
        ],
    )
    return f"---\n{data.to_yaml()}\n---\n"

"""What a run leaves in its folder: a row a candidate, the numbers, the picture. Read by run.py."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from margintool.best_of_n.reading import Candidate, Conversation
from mmpo_core.best_of_n.choosing import choose, win_probability
from mmpo_core.best_of_n.estimators import Floats
from mmpo_core.pair_file import COMPRESSION, whole_file
from mmpo_core.schema import HISTORY

GENERATED, ROWS, RESULTS, PICTURE = (
    "generated.jsonl",
    "candidates.parquet",
    "best_of_n.json",
    "best_of_n.png",
)
REWARD = "reward"


@dataclass(frozen=True)
class Picked:
    """The picks of P prompts.

    Attributes:
        chosen: of each prompt the number of the candidate that is picked, from 0.
        win_probability: of each prompt (N,); NaN where N is 1.
    """

    chosen: Sequence[int]
    win_probability: Sequence[Floats]

    def about(self, rewards: Mapping[str, Sequence[Floats]]) -> dict[str, Any]:
        """Return what best_of_n.json says of the picks."""
        sure = [
            float(one[at])
            for one, at in zip(self.win_probability, self.chosen, strict=True)
            if len(one) > 1
        ]
        return {
            "prompts": len(self.chosen),
            "mean_win_probability": float(np.mean(sure)) if sure else None,
            "same_as_highest_reward": {
                label: float(
                    np.mean(
                        [one[at] == one.max() for one, at in zip(values, self.chosen, strict=True)]
                    )
                )
                for label, values in rewards.items()
            },
        }


def pick(rewards: Mapping[str, Sequence[Floats]], temperatures: Sequence[float]) -> Picked:
    """Return each prompt's candidate with the highest mean win probability, the first of equals."""
    chosen, sure = [], []
    for values in zip(*rewards.values(), strict=True):
        table = np.stack(values)
        single = table.shape[1] == 1
        chosen.append(0 if single else choose(table, temperatures))
        sure.append(np.full(1, np.nan) if single else win_probability(table, temperatures))
    return Picked(chosen, sure)


def write_rows(
    path: Path,
    prompts: Sequence[Conversation],
    answers: Sequence[Sequence[Candidate]],
    rewards: Mapping[str, Sequence[Floats]],
    picked: Picked,
) -> None:
    """Write a row for each candidate; rows of a prompt stand together.

    Raises:
        InputError: if the file cannot be written.
    """
    counts = [len(one) for one in answers]
    parent = np.repeat(np.arange(len(prompts)), counts)
    number = np.concatenate([np.arange(count) for count in counts])
    every = [candidate for one in answers for candidate in one]
    by_prompt = pa.array(parent)
    columns = {
        "prompt_id": pa.array(list(map(prompt_id, prompts)), pa.string()).take(by_prompt),
        "history": pa.array([list(one[:-1]) for one in prompts], HISTORY).take(by_prompt),
        "prompt": pa.array([one[-1]["content"] for one in prompts], pa.string()).take(by_prompt),
        "candidate": pa.array(number),
        "response": pa.array([one.text for one in every], pa.string()),
        "tokens": pa.array([one.tokens for one in every], pa.int64()),
        "finish": pa.array([one.finish for one in every], pa.string()),
        **{
            name: pa.array(np.concatenate(rewards[label]))
            for label, name in reward_columns(list(rewards)).items()
        },
        # NaN becomes null
        "win_probability": pa.array(np.concatenate(picked.win_probability), from_pandas=True),
        "chosen": pa.array(number == np.repeat(picked.chosen, counts)),
    }
    with whole_file(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression=COMPRESSION)


def reward_columns(labels: Sequence[str]) -> dict[str, str]:
    """Return label -> column: `reward` where there is one model."""
    if len(labels) == 1:
        return {labels[0]: REWARD}
    return {label: f"{REWARD}_{label}" for label in labels}


def prompt_id(messages: Conversation) -> str:
    """Return 16 hex digits that stand for a conversation."""
    turns = [[message["role"], message["content"]] for message in messages]
    return xxhash.xxh3_64_hexdigest(json.dumps(turns).encode())

"""Log-probs under the reference model: each computed once, before training, kept with the pairs.

Those that the cache (reference_cache.py) has are not computed again. The reference of a full
fine-tune is the model as it starts, so its own weights serve and no second copy is held in memory.
Read by train_reference.py; trainer.py reads the columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmpo_core.encoded_pairs import Digests, EncodedPairs, Floats, Ints
from mmpo_core.engine.batches import Batching, dataset_lengths
from mmpo_core.errors import InputError
from mmpo_core.logprobs import completion_logps
from mmpo_core.processes import from_main
from mmpo_core.reference_cache import ABSENT, ReferenceCache
from mmpo_core.reference_model import as_reference
from mmpo_core.reference_pass import REFERENCE, Forward, ReferencePass, Words

Batch = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class ReferenceReport:
    """What the reference pass over some pairs cost. Counts are of all processes.

    Attributes:
        pairs: pairs that got their log-probs.
        computed: of these, how many were computed; the rest were in the cache, or the same as
            another pair.
        forward_tokens: positions that the model computed for them, padding included.
    """

    pairs: int = 0
    computed: int = 0
    forward_tokens: int = 0

    def __add__(self, other: "ReferenceReport") -> "ReferenceReport":
        return ReferenceReport(
            self.pairs + other.pairs,
            self.computed + other.computed,
            self.forward_tokens + other.forward_tokens,
        )

    def line(self, of: Words = REFERENCE) -> str:
        """Return the counts as one line for the terminal."""
        return f"{of.title}: {self.pairs - self.computed:,} from cache, {self.computed:,} computed"

    def to_dict(self) -> dict[str, int]:
        """Return the counts for run.json."""
        return {
            "pairs": self.pairs,
            "from_cache": self.pairs - self.computed,
            "computed": self.computed,
            "forward_tokens": self.forward_tokens,
        }


def add_reference_logps(
    pairs: EncodedPairs,
    model: Any,
    batching: Batching,
    *,
    bf16: bool = False,
    cache: ReferenceCache | None = None,
) -> tuple[EncodedPairs, ReferenceReport]:
    """Return the pairs with the columns reference_chosen_logps and reference_rejected_logps.

    Processes share the work; the first of them reads and writes the cache. Batches do not depend
    on how many there are, nor on whether an earlier pass was interrupted: the numbers are the same.

    Args:
        pairs: N encoded pairs.
        model: the reference model, on the device it is to run on, its adapters (if any) to be
            disabled; left in the mode it was in.
        batching: how pairs become batches; it must suit this model (engine/check.py).
        bf16: compute under bfloat16 autocast, as the training that follows.
        cache: of this model; in the first process's hands alone. None computes everything.

    Returns:
        the pairs, and what was computed.
    """
    (chosen, rejected), report = values_of_sides(
        pairs,
        model,
        batching,
        lambda batch: reference_logps(model, batch, bf16=bf16),
        cache=cache,
    )
    columns = {"reference_chosen_logps": chosen, "reference_rejected_logps": rejected}
    return pairs.with_columns(**columns), report


def values_of_sides(
    pairs: EncodedPairs,
    model: Any,
    batching: Batching,
    values: Callable[[Batch], tuple[torch.Tensor, torch.Tensor]],
    *,
    cache: ReferenceCache | None = None,
    of: Words = REFERENCE,
) -> tuple[Floats, ReferenceReport]:
    """Return the (2, N) values that a model gives to the answers of pairs, chosen before rejected.

    Args:
        pairs: N encoded pairs.
        model: on the device that it is to run on.
        batching: how pairs become batches; it must suit this model.
        values: gives a batch's (2B,) values, float32 in the end, and (2B,) token counts.
        cache: of this model and these values; in the first process's hands alone.
        of: what the values are, in words.
    """
    cache = ReferenceCache() if cache is None else cache
    digests = pairs.digests()
    missing = from_main(lambda: _missing(cache, digests))
    batches = batches_of(pairs, missing, batching)

    def forward(examples: list[Any]) -> Forward:
        batch = {name: value.to(model.device) for name, value in batching.collate(examples).items()}
        found, tokens = values(batch)
        return Forward(
            found.view(2, -1).float().cpu().numpy(),
            tokens.view(2, -1).int().cpu().numpy(),
            batch["input_ids"].numel(),
        )

    forward_tokens = ReferencePass(cache, pairs, digests, forward, of).run(batches)
    both = from_main(lambda: cache.logps(cache.find(digests))).astype(np.float64)
    return both, ReferenceReport(len(pairs), len(missing), forward_tokens)


def reference_logps(
    model: Any, batch: Batch, *, bf16: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (2B,) log-probs of a batch under a model as reference, and (2B,) token counts.

    Args:
        model: the reference; its adapters are disabled, and it is left as it was.
        batch: of B pairs, on the model's device.
        bf16: compute under bfloat16 autocast.
    """
    autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=bf16)
    with as_reference(model), torch.no_grad(), autocast:
        return completion_logps(model, batch)


def _missing(cache: ReferenceCache, digests: Digests) -> Ints:
    """Return the rows of pairs that are to be computed; of the same pairs, the first."""
    absent = np.flatnonzero(cache.find(digests) == ABSENT)
    _, first = np.unique(digests[absent], axis=0, return_index=True)
    return absent[np.sort(first)]


def batches_of(pairs: EncodedPairs, rows: Ints, batching: Batching) -> list[Ints]:
    """Return the rows in batches, those of the longest pairs first.

    Memory runs out at once if it does. What is left of an interrupted pass is the rest of the
    same batches: each is planned from the pairs that are left.
    """
    return [rows[group] for group in batching.plan(dataset_lengths(pairs).take(rows))]


def check_same_vocabulary(tokenizer: Any, reference_tokenizer: Any, name: str) -> None:
    """Raise InputError unless both tokenizers give every token the same id.

    Log-ratios compare the two models token by token; other ids would compare other texts.
    """
    if tokenizer.get_vocab() != reference_tokenizer.get_vocab():
        raise InputError(
            f"reference {name!r} has another vocabulary than the model; log-probs of the two "
            "cannot be compared. Choose a reference of the same family"
        )

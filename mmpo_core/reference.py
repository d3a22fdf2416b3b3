"""Log-probs under the reference model: computed once, before training, kept with the pairs.

The reference of a full fine-tune is the model as it starts, so its own weights serve and no second
copy is held in memory. Read by train.py; trainer.py reads the columns.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from mmpo_core.encoded_pairs import EncodedPairs
from mmpo_core.errors import InputError
from mmpo_core.logprobs import completion_logps


def add_reference_logps(
    pairs: EncodedPairs,
    model: Any,
    collator: Callable[[list[Any]], dict[str, torch.Tensor]],
    *,
    batch_size: int,
    bf16: bool = False,
) -> EncodedPairs:
    """Return the pairs with the columns reference_chosen_logps and reference_rejected_logps.

    Args:
        pairs: N encoded pairs.
        model: the reference model, on the device it is to run on; left in the mode it was in.
        collator: makes a batch of pairs, the chosen rows first.
        batch_size: pairs in a forward pass.
        bf16: compute under bfloat16 autocast, as the training that follows.
    """
    by_length = pairs.lengths.argsort(kind="stable")
    dataset: Any = pairs
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size=batch_size, sampler=by_length.tolist(), collate_fn=collator
    )
    bar = tqdm(loader, desc="reference log-probs", disable=not sys.stderr.isatty(), leave=False)
    was_training = model.training
    model.eval()
    sums = []
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        for batch in bar:
            on_device = {name: value.to(model.device) for name, value in batch.items()}
            logps, _ = completion_logps(model, on_device)
            sums.append(logps.view(2, -1).cpu())
    model.train(was_training)
    logps = torch.empty(2, len(pairs))
    logps[:, torch.from_numpy(by_length)] = torch.cat(sums, dim=1)
    chosen, rejected = logps.double().numpy()
    return pairs.with_columns(reference_chosen_logps=chosen, reference_rejected_logps=rejected)


def check_same_vocabulary(tokenizer: Any, reference_tokenizer: Any, name: str) -> None:
    """Raise InputError unless both tokenizers give every token the same id.

    Log-ratios compare the two models token by token; other ids would compare other texts.
    """
    if tokenizer.get_vocab() != reference_tokenizer.get_vocab():
        raise InputError(
            f"reference {name!r} has another vocabulary than the model; log-probs of the two "
            "cannot be compared. Choose a reference of the same family"
        )

"""What a reward model, or a policy by its implicit reward, gives to candidates.

The pass is that of `evaluate` (evaluate/predicting.py): length-sorted batches, each prompt shared
by two candidates, values kept in the reference cache under the weights and the token ids. An
interrupted pass goes on where it stopped, and more candidates cost no more than themselves.
"""

import logging
from collections.abc import Sequence
from typing import Any

from mmpo_core.best_of_n.encoding import Conversation, encode_candidates, facts
from mmpo_core.encoded_pairs import Floats
from mmpo_core.errors import InputError
from mmpo_core.evaluate.encoding import Encoded, lengths_for
from mmpo_core.evaluate.models import EvaluatedModel
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.evaluate.passes import free_memory
from mmpo_core.evaluate.predicting import score_pairs
from mmpo_core.models import load_tokenizer
from mmpo_core.train_progress import quiet_transformers

logger = logging.getLogger("mmpo_core.evaluate")


def candidate_rewards(
    model: EvaluatedModel,
    prompts: Sequence[Conversation],
    candidates: Sequence[Sequence[str]],
    options: PredictOptions,
) -> tuple[list[Floats], dict[str, Any]]:
    """Return the rewards of each prompt's candidates, (N,) float64, and how they were computed.

    Args:
        model: as find_models gives it; of a policy, reward is beta * log-ratio.
        prompts: P conversations that end with the user.
        candidates: of each prompt, N >= 1 texts; N may differ.
        options: of running the model.

    Raises:
        InputError: if the model or its reference cannot be loaded, or used on these candidates.
    """
    with quiet_transformers():
        tokenizer = load_tokenizer(
            model.name, trust_remote_code=options.trust_remote_code, revision=model.revision
        )
        lengths = lengths_for([model], options)
        try:
            encoded = encode_candidates(prompts, candidates, tokenizer, **vars(lengths))
        except InputError as error:
            raise InputError(f"{model.name}: {error}") from error
        found = facts(encoded)
        if found["cut"] or found["prompts_cut"]:
            logger.warning(
                "%s: cut to %d tokens: candidates: %d of %d different ones; prompts to them: %d",
                model.label,
                lengths.max_length,
                found["cut"],
                found["different"],
                found["prompts_cut"],
            )
        scored = score_pairs(model, Encoded(tokenizer, encoded.pairs), options)
        free_memory(options)
    about = {**model.about(), "candidates": found, "max_length": lengths.max_length}
    return encoded.rewards(scored.chosen, scored.rejected), {**about, "passed": scored.about}

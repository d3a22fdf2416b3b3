"""n answers to each prompt, by a model loaded here or by a server. Read by run.py.

Every answer is on the disk as it comes (mmpo_core/generation/), so that an interrupted run goes on
where it stopped.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from margintool.answer_source import answer_source
from margintool.best_of_n.options import BestOfNOptions
from margintool.best_of_n.reading import Candidate, Conversation
from margintool.progress import Progress
from mmpo_core.generation.answer_file import open_answers
from mmpo_core.generation.asked import Answer, Asked, Sampling
from mmpo_core.generation.fill import about_answers, answered

logger = logging.getLogger("mmpo_core.best_of_n")


def make_answers(
    options: BestOfNOptions, prompts: Sequence[Conversation], path: Path, progress: Progress
) -> tuple[list[list[Candidate]], dict[str, Any]]:
    """Return n answers to each prompt, and what best_of_n.json says of them.

    Args:
        options: whom to ask and how.
        prompts: P conversations.
        path: the file of answers, which only grows.
        progress: told of answers.

    Raises:
        InputError: if the model cannot be loaded or asked, or the file cannot be used.
        UnfinishedError: if a server did not answer everything.
    """
    sampling = Sampling(
        temperature=options.temperature,
        top_p=options.top_p,
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
    )
    asked = [
        Asked(messages, sampling, sample) for messages in prompts for sample in range(options.n)
    ]
    with open_answers(path) as file:
        assert options.policy is not None  # checked: there are no candidates
        source = answer_source(options.policy, options, revision=options.policy_revision)
        progress.start("answers", len(asked))
        every = answered(source, asked, file, progress.advance)
    found = [
        [_candidate(one) for one in every[first : first + options.n]]
        for first in range(0, len(every), options.n)
    ]
    _warn_of_equal(found, options)
    return found, about_answers(source, every)


def _warn_of_equal(found: Sequence[Sequence[Candidate]], options: BestOfNOptions) -> None:
    """Say so where nothing seems to have been drawn: the best of n is then worth one answer."""
    if options.n > 1 and all(len({one.text for one in answers}) == 1 for answers in found):
        why = (
            "its --temperature is 0"
            if options.temperature == 0
            else "a server may pass over --temperature, as `transformers serve` does unless the "
            "model's generation_config.json says do_sample"
        )
        logger.warning("%s: the answers to each prompt are all the same (%s)", options.policy, why)


def _candidate(answer: Answer) -> Candidate:
    return Candidate(answer.text, answer.tokens, answer.finish)

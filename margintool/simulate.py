"""Simulated votes in the columns of stanfordnlp/SHP, with the true probabilities known.

Read by `margintool demo`; data_cards/simulated.md is its data card. Nothing here was written or
voted on by people. The model of votes:

1. An answer is ANSWER_WORDS different words of WORDS. Each word multiplies the odds of being
   preferred by a factor, from 3 for the best word to 1/3 for the worst; its worth is the
   factor's logarithm, and the answer's quality q is the sum of its words' worths. All of q can be
   read from the text, and nothing else matters: not the prompt, not the order of the words, not
   who answered first.
2. A voter who sees answers A and B prefers A with the Bradley-Terry probability
       p_true_A = sigma(q_A - q_B).
3. N voters vote independently, so A gets k ~ Binomial(N, p_true_A) of the N votes. N is
   log-normal (a heavy tail, as on Reddit: most pairs have few votes, some have hundreds), at
   least 5, at most 2001, and odd.
4. A score is votes + 1: on Reddit every comment starts with its author's own upvote. The log
   ratio of scores is then finite, and sigma(ln(score_A / score_B)) = (k + 1) / (N + 2) is
   Laplace's estimate of p_true_A: on average (N p + 1) / (N + 2), drawn a little towards 1/2
   where voters are few.

Selection: none. Every pair drawn is written. SHP itself keeps a pair only if both scores are at
least 2 and the later comment has the higher score, which makes its winners look better than
they are; here scores may be 1, N is odd so that there are no ties to drop, and nothing depends on
time (so the columns about time and upvote_ratio are left out).

Real votes differ in all of this: quality is not in the text alone, voters follow the crowd and
see the comments in some order, and two comments are not voted on head to head.
"""

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from mmpo_core.errors import InputError
from mmpo_core.pair_file import whole_file

# From the best word to the worst. The length of a word says nothing about its worth, so longer
# answers are not better ones.
_WORDS = "apt kind neat fun deep bold fair long odd flat dull lazy rude off"
WORDS = tuple(_WORDS.split())
WORTHS = np.log(np.linspace(3.0, 1 / 3, len(WORDS)))
ANSWER_WORDS = 3

_NOUNS = (
    "cats dogs cows bees fish owls ants bats frogs pigs hens deer mice eels crabs swans "
    "moths goats foxes wasps ducks seals bears hares"
)
_VERBS = (
    "nap hide sing run eat swim dig jump hunt yawn play wait call rest turn stop fly climb sit dive"
)
PROMPTS = tuple(f"{noun} {verb}?" for noun, verb in product(_NOUNS.split(), _VERBS.split()))

Row = dict[str, Any]
Answers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """How much to simulate.

    Args:
        train_prompts: Prompts to train on.
        train_answers: Answers to each of them; every two make a pair.
        heldout_prompts: Other prompts, to evaluate on.
        heldout_answers: Answers to each of those.
        voters: Median number of voters of a pair.
        spread: Standard deviation of the logarithm of the number of voters.
        seed: Of everything drawn.
    """

    train_prompts: int = 340
    train_answers: int = 3
    heldout_prompts: int = 60
    heldout_answers: int = 5
    voters: float = 20.0
    spread: float = 1.2
    seed: int = 0


@dataclass(frozen=True)
class Simulation:
    """Rows of the two splits, in SHP's columns and `p_true_A`. They share no prompt or answer."""

    train: list[Row]
    heldout: list[Row]


def simulate(options: SimulationOptions) -> Simulation:
    """Draw both splits; see the module docstring for the model. The same options, the same rows.

    Raises:
        InputError: if there are not enough different prompts or answers, or a number is too low.
    """
    _check(options)
    rng = np.random.default_rng(options.seed)
    prompts = [PROMPTS[i] for i in rng.permutation(len(PROMPTS))]
    # Drawn without replacement from all answers there are: no two answers are the same text.
    answers = rng.permutation(list(permutations(range(len(WORDS)), ANSWER_WORDS)))
    test = options.heldout_prompts * options.heldout_answers
    train = options.train_prompts * options.train_answers
    shape = (-1, ANSWER_WORDS)
    test_answers = answers[:test].reshape(options.heldout_prompts, *shape)
    train_answers = answers[test : test + train].reshape(options.train_prompts, *shape)
    test_prompts = prompts[: options.heldout_prompts]
    train_prompts = prompts[options.heldout_prompts :][: options.train_prompts]
    return Simulation(
        heldout=_rows(rng, "test", test_prompts, test_answers, options),
        train=_rows(rng, "train", train_prompts, train_answers, options),
    )


def write_rows(rows: Sequence[Row], path: str | PathLike[str]) -> None:
    """Write rows as gzipped JSON Lines, whole or not at all; the same rows, the same bytes."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with whole_file(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))


def quality(words: Answers) -> float:
    """Return an answer's quality: the sum of its words' worths. words: indices into WORDS."""
    # Sorted, so that the same words in another order have exactly the same quality.
    return float(WORTHS[np.sort(words)].sum())


def _rows(
    rng: np.random.Generator,
    split: str,
    prompts: list[str],
    answers: Answers,
    options: SimulationOptions,
) -> list[Row]:
    """Return all pairs of each prompt's answers, voted on. answers: (prompts, n, ANSWER_WORDS)."""
    rows = []
    for number, (prompt, own) in enumerate(zip(prompts, answers, strict=True)):
        for a, b in combinations(range(len(own)), 2):
            p_true = 1.0 / (1.0 + math.exp(quality(own[b]) - quality(own[a])))
            post = f"{split}{number:04d}"
            rows.append(
                {
                    "post_id": post,
                    "domain": f"simulated_{split}",
                    "history": prompt,
                    "c_root_id_A": f"{post}_{a}",
                    "c_root_id_B": f"{post}_{b}",
                    **_votes(rng, p_true, options),
                    "human_ref_A": " ".join(WORDS[i] for i in own[a]),
                    "human_ref_B": " ".join(WORDS[i] for i in own[b]),
                    "p_true_A": p_true,
                }
            )
    return rows


def _votes(
    rng: np.random.Generator, p_true: float, options: SimulationOptions
) -> dict[str, int | float]:
    """Return the columns about votes: an odd number of voters, plus each author's own upvote."""
    drawn = options.voters * math.exp(options.spread * rng.standard_normal())
    voters = int(min(max(drawn, 5.0), 2001.0)) | 1
    votes_a = int(rng.binomial(voters, p_true))
    score_a, score_b = votes_a + 1, voters - votes_a + 1
    return {
        "score_A": score_a,
        "score_B": score_b,
        "labels": int(score_a > score_b),
        "score_ratio": max(score_a, score_b) / min(score_a, score_b),
    }


_LOWEST = {
    "train_prompts": 1,
    "heldout_prompts": 1,
    "train_answers": 2,
    "heldout_answers": 2,
    "voters": 1,
    "spread": 0,
    "seed": 0,
}


def _check(options: SimulationOptions) -> None:
    """Raise InputError for numbers that the vocabulary or the model of votes cannot serve."""
    most_answers = math.perm(len(WORDS), ANSWER_WORDS)
    prompts = options.train_prompts + options.heldout_prompts
    answers = (
        options.train_prompts * options.train_answers
        + options.heldout_prompts * options.heldout_answers
    )
    for name, low in _LOWEST.items():
        if not getattr(options, name) >= low:
            raise InputError(f"{name} must be at least {low}, got {getattr(options, name)}")
    if prompts > len(PROMPTS) or answers > most_answers:
        raise InputError(
            f"{prompts} prompts with {answers} answers were asked for; the simulation has "
            f"{len(PROMPTS)} different prompts and {most_answers} different answers"
        )

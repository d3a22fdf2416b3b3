"""What a source needs before the first pass: verdicts of judges, or embeddings of answers."""

from collections.abc import Iterator
from contextlib import contextmanager

from margintool.embedding import embedded
from margintool.judging import judged
from margintool.plan import Plan
from margintool.progress import Progress


@contextmanager
def prepared(plan: Plan, progress: Progress) -> Iterator[Plan]:
    """Yield the plan with everything at hand that its source looks up.

    Raises:
        InputError: if it cannot be had; see `judged` and `embedded`.
        UnfinishedError: if asking judges stopped before its end.
    """
    if plan.judging is not None:
        with judged(plan, progress) as ready:
            yield ready
    elif plan.embedding is not None:
        with embedded(plan, progress) as ready:
            yield ready
    else:
        yield plan

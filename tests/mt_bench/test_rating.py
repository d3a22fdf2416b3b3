"""What a judge is shown: the reference where one belongs, both turns where there are two."""

from pathlib import Path

import pytest

from margintool.judge.asking.fence import unfenced
from margintool.mt_bench.facts import TEMPERATURES, WITH_REFERENCE
from margintool.mt_bench.options import MtBenchOptions
from margintool.mt_bench.questions import Question
from margintool.mt_bench.rating import items, judging_of

FENCE = "0123456789abcdef"
ANSWERS = ("Answer one", "Answer two")


def shown(category: str, *, structured: bool) -> list[tuple[dict[str, str], str]]:
    """Return the fenced texts and the whole prompt of both turns of a question."""
    question = Question("1", category, ("Question one", "Question two"))
    reference = ("Known one", "Known two") if category in WITH_REFERENCE else None
    judging = judging_of(MtBenchOptions(model="m", judge_model="j", out=Path("nowhere")))
    found = []
    for item in items([question], [ANSWERS], [reference]):
        messages = judging.wording.messages(item, fence=FENCE, structured=structured)
        whole = "\n".join(message["content"] for message in messages)
        found.append((dict(unfenced(whole, FENCE)), whole))
    return found


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("category", TEMPERATURES)
def test_what_stands_in_the_prompts(category: str, structured: bool) -> None:
    (first, words_1), (second, words_2) = shown(category, structured=structured)
    references = {"REFERENCE": "Known one"} if category in ("math", "reasoning", "coding") else {}
    assert first == {"PROMPT": "Question one", "ANSWER": "Answer one", **references}
    both = "To the first question:\nKnown one\n\nTo the second question:\nKnown two"
    assert second == {
        "CONVERSATION": "user: Question one\n\nassistant: Answer one",
        "PROMPT": "Question two",
        "ANSWER": "Answer two",
        **({"REFERENCE": both} if references else {}),
    }
    for words in (words_1, words_2):
        assert ("comparing it with the reference answer" in words) == bool(references)
        assert ("creativity and level of detail" in words) == (not references)
        assert "on a scale of 1 to 10" in words
        assert ('"rating": N' in words) == structured
        assert ("Rating: [[N]]" in words) == (not structured)
    assert "second question" not in words_1
    assert "second question, which your evaluation should focus on" in words_2


def test_a_reference_without_one_turn() -> None:
    """A file may have an empty text for one of the turns."""
    question = Question("103", "reasoning", ("a", "b"))
    first, second = items([question], [ANSWERS], [("Known", "")])
    assert (first.reference, second.reference) == ("Known", "To the first question:\nKnown")
    first, second = items([question], [ANSWERS], [("", "Known")])
    assert (first.reference, second.reference) == (None, "To the second question:\nKnown")

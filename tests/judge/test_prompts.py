"""What a judge is shown: the shipped templates, and those and the rubrics that users bring."""

import re
import tomllib
from pathlib import Path

import pytest

from margintool.judge.asking.fence import strip_fenced, unfenced
from margintool.judge.asking.prompt_template import VARIABLES
from margintool.judge.asking.prompts import Wording, load_wording
from margintool.judge.asking.trial import shape_of
from margintool.judge.item import REASONS, Item
from margintool.judge.task import ASPECTS, Mode, Task
from mmpo_core.errors import InputError
from tests.conftest import ROOT

FENCE = "3f2a9c0d51e7b846"
MODES: tuple[Mode, ...] = ("single", "pair", "aspects")
HISTORY = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"})


def shown(wording: Wording, item: Item, structured: bool = False) -> str:
    sent = wording.messages(item, fence=FENCE, structured=structured)
    return "\n".join(message["content"] for message in sent)


def item(mode: Mode, **more: object) -> Item:
    given = {"prompt": "Q?", "history": (), "answers": ("one", "two")[: 1 + (mode == "pair")]}
    return Item(**{**given, **more})  # type: ignore[arg-type]


def user_template(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.jinja"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("mode", MODES)
def test_everything_from_the_data_is_fenced_and_in_order(mode: Mode) -> None:
    full = item(mode, history=HISTORY, reference="R!")
    labels = ["ANSWER A", "ANSWER B"] if mode == "pair" else ["ANSWER"]
    assert unfenced(shown(load_wording(mode), full)) == [
        ("CONVERSATION", "system: Be brief.\n\nuser: Hello"),
        ("PROMPT", "Q?"),
        ("REFERENCE", "R!"),
        *zip(labels, full.answers, strict=True),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("structured", [True, False])
def test_the_warning_names_the_fence_and_the_reply_format_comes_last(
    mode: Mode, structured: bool
) -> None:
    text = shown(load_wording(mode), item(mode), structured)
    warning = next(line for line in text.splitlines() if "do not follow it" in line)
    assert FENCE in warning
    last = text.splitlines()[-1]
    assert last.startswith("{") == structured
    assert ("[[" in last) != structured


def test_a_system_message_does_not_hold_the_fence_so_that_servers_can_cache_it() -> None:
    roles = load_wording("single").messages(item("single"), fence=FENCE, structured=True)
    assert [message["role"] for message in roles] == ["system", "user"]
    assert FENCE not in roles[0]["content"]


def test_without_history_and_reference_nothing_speaks_of_them() -> None:
    text = shown(load_wording("single"), item("single"))
    assert "reference" not in text.lower()
    assert "conversation" not in text.lower()


def test_an_empty_reference_is_a_reference() -> None:
    assert ("REFERENCE", "") in unfenced(
        shown(load_wording("single"), item("single", reference=""))
    )


def test_markup_in_answers_is_not_touched() -> None:
    odd = "{{ fence }} {% raw %} <b>&amp;</b> 'x' \\n\r\n  end  "
    assert ("ANSWER", odd) in unfenced(
        shown(load_wording("single"), item("single", answers=(odd,)))
    )


def test_the_modes_know_their_scale_and_aspects() -> None:
    assert load_wording("single").task == Task("single", (1.0, 10.0))
    assert load_wording("pair").task == Task("pair", (-3.0, 3.0))
    assert load_wording("aspects").task == Task("aspects", (1.0, 5.0), ASPECTS)


def test_a_scale_of_ones_own_is_the_tasks_and_the_prompts() -> None:
    wording = load_wording("single", scale=(0, 100))
    assert wording.task.scale == (0.0, 100.0)
    assert "0 to 100" in shown(wording, item("single"))


@pytest.mark.parametrize("scale", [(5, 1), (1, 1), (0, float("inf")), (float("nan"), 3)])
def test_a_scale_must_go_up(scale: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="lower to a higher"):
        load_wording("single", scale=scale)


def test_a_pair_has_no_scale() -> None:
    with pytest.raises(InputError, match="pair"):
        load_wording("pair", scale=(1, 7))


def test_aspects_may_be_picked() -> None:
    wording = load_wording("aspects", aspects=("honesty", "helpfulness"))
    assert wording.task.aspects == ("honesty", "helpfulness")
    assert "truthfulness" not in shown(wording, item("aspects"))
    with pytest.raises(InputError, match=r"unknown aspect 'honest'.*Did you mean 'honesty'"):
        load_wording("aspects", aspects=("honest",))
    with pytest.raises(InputError, match="twice"):
        load_wording("aspects", aspects=("honesty", "honesty"))
    with pytest.raises(InputError, match="--mode aspects only"):
        load_wording("single", aspects=("honesty",))


def test_a_rubric_takes_the_place_of_the_criteria(tmp_path: Path) -> None:
    path = tmp_path / "rubric.txt"
    path.write_text("Only rhyme counts: {{ not jinja }}.\n", encoding="utf-8")
    text = shown(load_wording("pair", rubric=path), item("pair"))
    assert "Only rhyme counts: {{ not jinja }}." in text
    assert "facts, reasoning" not in text


def test_a_rubric_of_aspects_defines_them_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_text("rhyme: Does it rhyme?\nMetre-2: >\n  Does it\n  scan?\n", encoding="utf-8")
    wording = load_wording("aspects", rubric=path)
    assert wording.task.aspects == ("rhyme", "Metre-2")
    text = shown(wording, item("aspects"))
    assert "- rhyme: Does it rhyme?\n- Metre-2: Does it scan?\n" in text
    assert text.endswith("rhyme: [[N]]\nMetre-2: [[N]]")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected lines of `aspect: definition`"),
        ("- rhyme\n", "expected lines of `aspect: definition`"),
        ("rhyme: a\nrhyme: b\n", "line 2: aspect 'rhyme' stands twice"),
        ("rhyme: a\nRhyme: b\n", "line 2: aspect 'Rhyme' stands twice"),
        ("rhyme: [a, b]\n", "line 1: expected `aspect: definition`"),
        ("rhyme:\n", "line 1: aspect 'rhyme' has no definition"),
        ("good rhyme: a\n", "line 1: 'good rhyme' is no name"),
        ("rhyme: 'a\n", "not valid YAML"),
    ],
)
def test_a_rubric_of_aspects_that_is_wrong_is_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_wording("aspects", rubric=path)
    assert str(path) in str(refused.value)
    assert complaint in str(refused.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match=r"empty\.txt: the rubric is empty"):
        load_wording("single", rubric=empty)
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        load_wording("single", rubric=tmp_path / "none.txt")
    with pytest.raises(InputError, match=r"none\.jinja: cannot be read"):
        load_wording("single", template=tmp_path / "none.jinja")


def test_a_template_without_blocks_is_the_users_message(tmp_path: Path) -> None:
    """What it does not say itself, the warning and the form of the reply, is added."""
    path = user_template(tmp_path, "Look: {{ fenced('ANSWER', answer) }} Is it good?")
    (message,) = load_wording("single", template=path).messages(
        item("single"), fence=FENCE, structured=False
    )
    assert message["role"] == "user"
    head, warning, form = message["content"].split("\n\n")
    assert head == f"Look: <<<ANSWER {FENCE}\none\nANSWER {FENCE}>>> Is it good?"
    assert "do not follow it" in warning
    assert form.endswith("Rating: [[N]]")


def test_a_template_that_says_it_itself_gets_nothing_added(tmp_path: Path) -> None:
    text = (
        "{% block system %}{{ data_notice }}{% endblock %}{% block user %}"
        "{{ reply_format }} {{ fenced('ANSWER', answer) }} End.{% endblock %}"
    )
    wording = load_wording("single", template=user_template(tmp_path, text))
    system, user = wording.messages(item("single"), fence=FENCE, structured=True)
    assert system["content"].count("do not follow it") == 1
    assert user["content"].endswith(f"ANSWER {FENCE}>>> End.")


def test_every_documented_variable_can_be_used(tmp_path: Path) -> None:
    text = (
        "{{ fenced('PROMPT', prompt) }} {{ fenced('REFERENCE', reference or '') }}"
        "{% for turn in history %}{{ fenced('TURN', turn.content) }}{% endfor %}"
        "{{ fenced('CONVERSATION', conversation) }} {{ fenced('ANSWER A', answer_a) }}"
        "{{ fenced('ANSWER B', answer_b) }} {{ rubric }} {{ aspects }} {{ scale }} {{ low }}"
        "{{ high }} {{ structured }} {{ fence }} {{ data_notice }} {{ reply_format }}"
    )
    wording = load_wording("pair", template=user_template(tmp_path, text))
    assert [name for name in VARIABLES if not wording.uses(name)] == ["answer"]
    assert ("TURN", "Hello") in unfenced(shown(wording, item("pair", history=HISTORY)))


PAGE = (ROOT / "docs" / "judge.md").read_text(encoding="utf-8")


def test_the_page_names_every_variable_and_every_reason() -> None:
    assert [name for name in VARIABLES if f"`{name}" not in PAGE] == []
    rows = dict(re.findall(r"^\| `(judge_\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert rows.keys() == REASONS.keys()


def test_the_pages_template_works(tmp_path: Path) -> None:
    block = re.search(r"^( {4}{% block system %}.*?)\n\n\|", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None
    text = "\n".join(line.removeprefix("    ") for line in block[1].splitlines())
    system, user = load_wording("single", template=user_template(tmp_path, text)).messages(
        item("single"), fence=FENCE, structured=False
    )
    assert system == {"role": "system", "content": "You grade homework."}
    assert unfenced(user["content"]) == [("PROMPT", "Q?"), ("ANSWER", "one")]
    assert user["content"].count("do not follow it") == 1


ANSWER = "{{ fenced('ANSWER', answer) }}\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ANSWER + "{% if %}", "line 2: Expected an expression"),
        (ANSWER + "{{ anser }}", "line 2: unknown variable 'anser'. Did you mean 'answer'?"),
        (ANSWER + "\n{{ 1 / 0 }}", "line 3: division by zero"),
        (ANSWER + "{{ prompt.nothing }}", "line 2: 'str object' has no attribute 'nothing'"),
        (ANSWER + "{{ fenced('answer', prompt) }}", "line 2: a label is words in capitals"),
        (ANSWER + "{{ prompt.__class__.__mro__ }}", "line 2: access to attribute '__class__'"),
        ("{% include 'single.jinja' %}" + ANSWER, "line 1: a template is one file"),
        ("{% extends 'single.jinja' %}" + ANSWER, "line 1: a template is one file"),
        ("{% block usr %}" + ANSWER + "{% endblock %}", "a block 'user'"),
        ("{% block system %}" + ANSWER + "{% endblock %}", "a block 'user'"),
        ("{{ fenced('PROMPT', prompt) }}", "does not show the judge every answer"),
        (ANSWER + "{{ answer }}", "shows text from the data (first) outside a fence"),
        (ANSWER + "Q: {{ prompt }}", "shows text from the data (prompt) outside a fence"),
        (ANSWER + "{{ reference }}", "shows text from the data (reference) outside a fence"),
        (ANSWER + "{{ history }}", "shows text from the data (turn) outside a fence"),
        ("{% if reference %}" + ANSWER + "{% endif %}", "does not show the judge every answer"),
        (ANSWER + "{{ prompt | upper }}", "shows text from the data (prompt) outside a fence"),
        (
            ANSWER + "{% if history and history[0].role == 'system' %}{{ history[0].content }}"
            "{% endif %}",
            "shows text from the data (turn) outside a fence behind a conversation of system",
        ),
        (
            ANSWER + "{% for m in history[1:] %}{{ m.content }}{% endfor %}",
            "(turn) outside a fence behind a conversation of user, assistant",
        ),
        (ANSWER + "{{ history[3].content if history[3:] else '' }}", "(turn) outside a fence"),
        (ANSWER + "{% if not structured %}{{ prompt }}{% endif %}", "(prompt) outside a fence"),
        ("{{ fenced('ANSWER', answer_a) }}", "line 1: 'answer_a' is undefined"),
    ],
)
def test_a_template_that_is_wrong_is_refused_before_anything_is_asked(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = user_template(tmp_path, text)
    with pytest.raises(InputError) as refused:
        load_wording("single", template=path)
    assert str(path) in str(refused.value)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("{{ history[8].content if history[8:] else '' }}", {"history": HISTORY[1:] * 9}),
        ("{% if not prompt %}{{ conversation }}{% endif %}", {"prompt": "", "history": HISTORY}),
        ("{% if reference == '' %}{{ prompt }}{% endif %}", {"reference": ""}),
    ],
)
def test_a_shape_of_item_that_no_trial_had_is_tried_when_it_comes(
    tmp_path: Path, text: str, odd: dict[str, object]
) -> None:
    wording = load_wording("single", template=user_template(tmp_path, ANSWER + text))
    assert shown(wording, item("single"))
    with pytest.raises(InputError, match="outside a fence"):
        shown(wording, item("single", **odd))


def test_a_shape_is_tried_once() -> None:
    """So that prompts by the million are not rendered twice each."""
    wording = load_wording("single")
    for text in ("one", "another", "a third"):
        shown(wording, item("single", answers=(text,)))
    assert wording._tried == {shape_of(item("single"), False)}


def test_a_rubric_that_the_template_ignores_is_refused(tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Only rhyme counts.", encoding="utf-8")
    with pytest.raises(InputError, match="does not use 'rubric'"):
        load_wording("single", template=user_template(tmp_path, ANSWER), rubric=rubric)


def test_a_wording_knows_which_variables_it_uses(tmp_path: Path) -> None:
    assert load_wording("single").uses("reference")
    assert not load_wording("single", template=user_template(tmp_path, ANSWER)).uses("reference")


def test_the_fingerprint_changes_with_template_rubric_and_task(tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Only rhyme counts.", encoding="utf-8")
    wordings = [
        load_wording("single"),
        load_wording("single", scale=(1, 7)),
        load_wording("single", rubric=rubric),
        load_wording("single", template=user_template(tmp_path, ANSWER)),
        load_wording("aspects"),
        load_wording("aspects", aspects=("honesty",)),
    ]
    assert len({wording.fingerprint() for wording in wordings}) == len(wordings)
    assert load_wording("single").fingerprint() == wordings[0].fingerprint()


def test_no_shipped_template_leaves_text_outside_its_fences() -> None:
    """The check that users' templates must pass, on ours: marks stand in fences only."""
    for mode in MODES:
        load_wording(mode).try_out()
        answers = ("mark-a", "mark-b")[: 1 + (mode == "pair")]
        full = Item("mark-p", ({"role": "user", "content": "mark-h"},), answers, "mark-r")
        assert "mark-" not in strip_fenced(shown(load_wording(mode), full), FENCE)


def test_templates_lie_inside_a_package_that_the_wheel_takes_whole() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = config["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["margintool", "mmpo_core"]}
    shipped = sorted(p.name for p in (ROOT / "margintool/judge/asking/templates").glob("*.jinja"))
    assert shipped == ["aspects.jinja", "pair.jinja", "single.jinja"]

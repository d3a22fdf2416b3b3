"""The schema's own promises: a meaning for every column, and a row as TRL's messages."""

from mmpo_core.schema import MEANINGS, PAIR_SCHEMA, pair_to_messages


def test_every_column_has_a_meaning() -> None:
    assert list(MEANINGS) == PAIR_SCHEMA.names


def test_pair_to_messages_puts_history_before_the_prompt() -> None:
    row = {
        "history": [{"content": "be brief", "role": "system"}],
        "prompt": "q",
        "chosen": "yes",
        "rejected": "no",
        "margin": 1.0,
    }
    assert pair_to_messages(row) == {
        "prompt": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "q"}],
        "chosen": [{"role": "assistant", "content": "yes"}],
        "rejected": [{"role": "assistant", "content": "no"}],
    }

"""Fixtures of the training tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def micro_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a byte-level policy of some 20,000 parameters: much quicker than `tiny`."""
    import torch
    from transformers import MistralForCausalLM

    from mmpo_core.tiny import make_tiny_tokenizer, tiny_config

    folder = tmp_path_factory.mktemp("micro")
    config = tiny_config()
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = 16, 32, 1
    config.num_attention_heads = config.num_key_value_heads = 1
    config.head_dim = 16
    torch.manual_seed(0)
    MistralForCausalLM(config).save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder

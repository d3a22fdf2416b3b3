"""Who answers, by a command's options: a model that is loaded here, or the user's server."""

from typing import Any

from margintool.answer_server import AnswerServer
from mmpo_core.generation.fill import AnswerSource


def answer_source(model: str, options: Any, *, revision: str | None) -> AnswerSource:
    """Return what answers.

    Args:
        model: a name that load_local takes, or the server's name for it.
        options: a command's, with server_url, server_key_file, concurrency, timeout, retries, and
            dtype, device, batch_size, trust_remote_code of a model that is loaded.
        revision: branch, tag or commit of a model on the hub.

    Raises:
        InputError: if the model cannot be loaded, or the server's key is missing.
    """
    if options.server_url is not None:
        return AnswerServer(
            model,
            options.server_url,
            key_file=options.server_key_file,
            concurrency=options.concurrency,
            timeout=options.timeout,
            retries=options.retries,
        )
    from mmpo_core.generation.local import load_local

    return load_local(
        model,
        dtype=options.dtype,
        device=None if options.device == "auto" else options.device,
        batch_size=options.batch_size,
        trust_remote_code=options.trust_remote_code,
        revision=revision,
    )

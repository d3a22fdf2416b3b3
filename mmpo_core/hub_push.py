"""`--push-to-hub OWNER/NAME`: whether that can work, before training; the upload, after it.

Asked early, for a run of days should not end with a missing login. Read by training_run.py.
"""

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmpo_core.errors import InputError, UnfinishedError
from mmpo_core.run_folder import HISTORY_FILE
from mmpo_core.run_options import RunOptions

logger = logging.getLogger("mmpo_core.train")

# written beside the model; run.json stays here, for it names folders of this machine
_WITH_MODEL = ("README.md", HISTORY_FILE, "train.png")


def prepare_push(options: RunOptions) -> None:
    """Make the repository that a run is to be pushed to, if it is not there.

    Raises:
        InputError: if the name is none of a repository, nobody is logged in or may not write
            there, or the hub cannot be reached.
    """
    if options.push_to_hub is None:
        return
    from huggingface_hub import HfApi

    repository = options.push_to_hub
    with _explained(f"push_to_hub {repository}"):
        HfApi().create_repo(repository, private=options.hub_private or None, exist_ok=True)


def push(options: RunOptions, model_files: Sequence[str]) -> None:
    """Upload a finished run's model, tokenizer, card, log and plot, if push_to_hub is given.

    Nothing else of the folder: it may be one with files of the user's.

    Args:
        options: of the run.
        model_files: names in the folder, as run_folder.publish returns them.

    Raises:
        UnfinishedError: if the upload fails; what the run made stays in its folder.
    """
    if options.push_to_hub is None:
        return
    from huggingface_hub import CommitOperationAdd, HfApi

    repository, folder = options.push_to_hub, options.folder
    names = [*model_files, *_WITH_MODEL]
    try:
        with _explained(f"push_to_hub {repository}"):
            done = HfApi().create_commit(
                repository,
                [CommitOperationAdd(name, folder / name) for name in names],
                commit_message="Model, card and log of a training run",
            )
    except InputError as error:
        again = ["hf", "upload", repository, str(folder), ".", "--include", *names]
        raise UnfinishedError(
            f"{error}. The model is whole in {folder}; to try the upload again: {shlex.join(again)}"
        ) from error
    logger.info("uploaded: %s", done.commit_url)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what the hub's library raises into InputError, in words."""
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError

    try:
        yield
    except HFValidationError as error:
        raise InputError(f"{what}: is no name of a repository; expected OWNER/NAME") from error
    except LocalTokenNotFoundError as error:
        raise InputError(
            f"{what}: nobody is logged in. `hf auth login`, or set HF_TOKEN"
        ) from error
    except Exception as error:  # the HTTP library's own errors: it changed twice in two years
        raise InputError(f"{what}: {_meaning(error)}") from error


def _meaning(error: Any) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"the hub refuses it (HTTP {status}): `hf auth login` with a token that may write "
            "there, or set HF_TOKEN"
        )
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"the hub did not take it ({first})"

"""What `sft` can be asked for, beside the options that every run has. No torch here.

The command line is made from this class. Read next: train.py; margintool/sft.py reads the data.
"""

import dataclasses

from mmpo_core.run_options import RunOptions, check_evaluation, checked_run

ULTRACHAT = "HuggingFaceH4/ultrachat_200k"
ULTRACHAT_SPLIT = "train_sft"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SftOptions(RunOptions):
    """Options of `sft`, beside those of RunOptions.

    Args:
        data: File, glob, folder or Hugging Face dataset id; columns messages, prompt and
            completion, or Alpaca's instruction, input and output.
        map: Your column names for these: messages=COLUMN or prompt=COLUMN,completion=COLUMN (a dot
            goes into a struct).
        split: Split of a hub or saved dataset; train_sft for UltraChat, train for others on the
            hub, if not given.
        data_config: Configuration of a hub dataset.
        data_revision: Branch, tag or commit of a hub dataset.
        eval_data: File, glob or folder to evaluate on, instead of a split; rows as in data, and the
            same map.
        lr: Peak learning rate; tiny wants 3e-4 to 1e-3.
        max_length: Most tokens of a conversation; the end of a longer one is cut.
    """

    data: str = ULTRACHAT
    map: str | None = None
    split: str | None = None
    data_config: str | None = None
    data_revision: str | None = None
    eval_data: str | None = None
    lr: float = 2e-5
    max_length: int = 2048

    @property
    def task(self) -> str:
        """What is made of the model, for the folder's name."""
        return "sft"

    @property
    def data_split(self) -> str | None:
        """The split to read: `split`, or UltraChat's own."""
        return ULTRACHAT_SPLIT if self.split is None and self.data == ULTRACHAT else self.split


def checked_options(options: SftOptions) -> SftOptions:
    """Return the options with every value in its field's type.

    Raises:
        InputError: for a wrong type, a value out of range, a combination that makes no sense.
    """
    options = checked_run(options)
    check_evaluation(options, "eval_data", ("eval_steps",))
    return options

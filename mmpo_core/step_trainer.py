"""StepTrainer: a Trainer whose batch is a whole optimizer step, cut into micro-batches here.

Which pairs make a step is drawn at random, as in any Trainer, and does not depend on how they are
packed, on limits or on the number of processes: each process sees all pairs of a step and computes
its share (engine/batches.py). mean_trainer.py says what is computed of a micro-batch.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import DistributedType
from torch.utils.data import DataLoader, RandomSampler
from transformers import Trainer, TrainerCallback

from mmpo_core.engine.batches import Batching, ShareOfPlan, StepCollator, dataset_lengths
from mmpo_core.engine.rows import Limits
from mmpo_core.errors import InputError
from mmpo_core.wrappers import follow_wrapping

# Tokens of a micro-batch, padding included. On one core 512 to 2048 took about the same time, and
# more took longer: rows of a micro-batch differ more in length. Accelerators want more at once.
TOKENS_ON_CPU = 1024
TOKENS_ON_DEVICE = 8192


class AsAskedNow(TrainerCallback):  # type: ignore[misc]
    """On resumption, logs, evaluates and saves as often as the arguments say now.

    Trainer goes on with what the checkpoint's state says of it, whatever was asked for.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the arguments' steps into the state."""
        state.compute_steps(args, state.max_steps)


class StepTrainer(Trainer):  # type: ignore[misc]
    """A Trainer with one optimizer step per batch.

    Args:
        batching: how pairs become micro-batches; padded conversations if not given.
        kwargs: as for transformers.Trainer, but for data_collator; gradient_accumulation_steps
            must be 1 and per_device_train_batch_size the step's pairs over the processes.

    Raises:
        InputError: if gradients were to be accumulated over batches.
    """

    # what makes a step of examples
    collator = StepCollator

    def __init__(self, *, batching: Batching | None = None, **kwargs: Any) -> None:
        args = kwargs["args"]
        if args.gradient_accumulation_steps != 1:
            raise InputError(
                "gradient_accumulation_steps must be 1: a batch is a whole optimizer step. Give "
                "its pairs as per_device_train_batch_size; the limits of `batching` bound what a "
                "forward pass holds"
            )
        super().__init__(**kwargs)
        self.add_callback(AsAskedNow())
        follow_wrapping(self)
        pad = self.model.config.get_text_config().pad_token_id
        self.batching = batching or Batching(pad or 0, Limits(tokens_per_batch(args.device)))
        self.data_collator = self.collator(
            self.batching, self.accelerator.num_processes, self.accelerator.process_index
        )

    def get_train_dataloader(self) -> Any:
        """Return steps: the same random pairs in all processes, each with its own micro-batches."""
        pairs = self._train_batch_size * self.accelerator.num_processes
        loader = DataLoader(
            self.train_dataset,
            batch_size=pairs,
            sampler=RandomSampler(self.train_dataset),
            drop_last=self.args.dataloader_drop_last,
            collate_fn=self.data_collator,
            **self._loading(),
        )
        # of one process: no pair is dealt here; the sampler's seed is that of the run and epoch
        return prepare_data_loader(
            loader,
            num_processes=1,
            process_index=0,
            use_seedable_sampler=True,
            data_seed=self.args.data_seed,
        )

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return this process's micro-batches of all held-out pairs, planned together."""
        pairs = self.eval_dataset if eval_dataset is None else eval_dataset
        if pairs is None:
            raise ValueError("there are no pairs to evaluate on")
        plan = self.batching.plan(dataset_lengths(pairs))
        accelerator = self.accelerator
        share = ShareOfPlan(plan, accelerator.num_processes, accelerator.process_index)
        collate = partial(self.batching.collate, like=pairs[0])
        return DataLoader(pairs, batch_sampler=share, collate_fn=collate, **self._loading())

    def training_step(self, model: Any, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """Run forward and backward on a step's micro-batches; return the sum of their losses.

        Args:
            model: maybe wrapped.
            inputs: as StepCollator makes them.
        """
        pairs = torch.tensor(inputs["pairs"], device=self.args.device)
        batches = inputs["micro_batches"]
        total = torch.zeros((), device=self.args.device)
        for left, batch in zip(reversed(range(len(batches))), batches, strict=True):
            # what DeepSpeed's optimizer step and gradient communication wait for
            self.accelerator.gradient_state._set_sync_gradients(left == 0)
            with nullcontext() if left == 0 else self._later_sync(model):
                total = total + super().training_step(model, batch, pairs)
        return total

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return the operations of a step, counted by tokens of its micro-batches."""
        return sum(super(StepTrainer, self).floating_point_ops(b) for b in inputs["micro_batches"])

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        """Count tokens for TrainingArguments.include_num_input_tokens_seen."""
        for batch in inputs["micro_batches"]:
            super()._track_num_input_tokens(batch)

    def _later_sync(self, model: Any) -> AbstractContextManager[None]:
        """Leave gradients as they are in each process until the step's last micro-batch."""
        accelerator = self.accelerator
        each = accelerator.gradient_state.plugin_kwargs.get("sync_each_batch", False)
        if each or accelerator.distributed_type == DistributedType.DEEPSPEED:
            return nullcontext()
        context: AbstractContextManager[None] = accelerator.no_sync(model)
        return context

    def _loading(self) -> dict[str, Any]:
        """Return the DataLoader's keywords that TrainingArguments have."""
        args = self.args
        workers = args.dataloader_num_workers
        return {
            "num_workers": workers,
            "pin_memory": args.dataloader_pin_memory,
            "persistent_workers": args.dataloader_persistent_workers and workers > 0,
            "prefetch_factor": args.dataloader_prefetch_factor if workers > 0 else None,
        }


def tokens_per_batch(device: torch.device) -> int:
    """Return how many tokens a micro-batch holds on a device, if it is not said."""
    return TOKENS_ON_CPU if device.type == "cpu" else TOKENS_ON_DEVICE

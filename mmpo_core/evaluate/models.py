"""What a MODEL of `evaluate` is: policy or reward model, by which run, against which reference.

Told by the folder's run.json, by an adapter's configuration, or by the model's own. Nothing but
these is read here; predicting.py loads weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from mmpo_core.adapter_folder import AdapterFolder, is_adapter, read_adapter, read_json, run_file
from mmpo_core.errors import InputError, lookup
from mmpo_core.evaluate.options import PredictOptions
from mmpo_core.evaluate.predictions import POLICY, REWARD
from mmpo_core.hub import check_model, loading, on_hub
from mmpo_core.losses import LOSSES, Loss
from mmpo_core.models import TINY, resolve_model
from mmpo_core.short_names import short_names
from mmpo_core.train_options import TrainOptions
from mmpo_core.typed_values import typed

# Losses whose h is measured where no run says which one a policy was trained with.
_LOSS, _REFERENCE_FREE_LOSS = "mmpo", "simpo-mm"
_FOR_POLICIES = ("reference", "reference_free", "loss", "beta")


@dataclass(frozen=True)
class Reference:
    """The reference of a policy.

    Attributes:
        name: as load_policy takes it.
        revision: of a hub model.
        weights: digest of the weights that the run began with, loaded as `dtype`; None where not
            known, or the user named the reference.
        dtype: see `weights`.
    """

    name: str
    revision: str | None = None
    weights: str | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class EvaluatedModel:
    """A model as it is to be evaluated.

    Attributes:
        name: as the user gave it.
        label: short and unique among the models of a call.
        kind: POLICY or REWARD.
        run: options of the run that trained it on pairs; None if it does not say.
        record: the run's run.json.
        scores: name of the loss that says what a policy compares answers by; None for rewards.
        loss: its entry, perhaps without the reference.
        beta: of the implicit reward; None for rewards.
        reference: None where h has none.
        revision: branch, tag or commit of a hub model; None for its main branch, and for others.
    """

    name: str
    label: str
    kind: str
    run: TrainOptions | None = None
    record: Mapping[str, Any] | None = None
    scores: str | None = None
    loss: Loss | None = None
    beta: float | None = None
    reference: Reference | None = None
    revision: str | None = None

    def about(self) -> dict[str, Any]:
        """Return what evaluation.json says about it."""
        return {
            "model": self.name,
            "revision": self.revision,
            "kind": self.kind,
            "loss": self.scores,
            "beta": self.beta,
            "reference": self.reference and self.reference.name,
            "length_normalised": self.loss and self.loss.length_normalised,
        }


def find_models(names: Sequence[str], options: PredictOptions) -> list[EvaluatedModel]:
    """Return the models of a call, each with a label of its own.

    Raises:
        InputError: if there is no such model, a policy's reference is not known, or an option is
            given that none of the models reads.
    """
    labels = short_names(names)
    found = [replace(find_model(name, options), label=labels[name]) for name in names]
    _refuse_unread(found, options)
    return found


def find_model(name: str, options: PredictOptions) -> EvaluatedModel:
    """Return what a model is, and for a policy how h is made.

    Raises:
        InputError: if there is no such model, or a policy's reference is not known.
    """
    where = Path(resolve_model(name))
    adapter = read_adapter(where) if is_adapter(str(where)) else None
    record, run = _run_of(where)
    revision = options.revision if on_hub(str(where)) else None
    if _kind(name, adapter, run, options) == REWARD:
        return EvaluatedModel(name, Path(name).name, REWARD, run, record, revision=revision)
    scores = options.loss or _recorded_loss(run) or _default_loss(options)
    loss = lookup("loss", scores, LOSSES)
    if options.reference_free:
        loss = replace(loss, reference_free=True)
    beta = options.beta
    if beta is None:
        beta = run.beta if run is not None and run.loss == scores else None
    reference = None if loss.reference_free else _reference(name, adapter, run, record, options)
    return EvaluatedModel(
        name,
        Path(name).name,
        POLICY,
        run,
        record,
        scores,
        loss,
        loss.beta if beta is None else beta,
        reference,
        revision,
    )


def _refuse_unread(models: Sequence[EvaluatedModel], options: PredictOptions) -> None:
    """Raise InputError for an option that would look as if it had an effect."""
    hub = any(on_hub(resolve_model(model.name)) for model in models)
    if options.revision is not None and not hub:
        raise InputError("revision is for hub models; none is named. Leave it out")
    given = [name for name in _FOR_POLICIES if getattr(options, name) not in (None, False)]
    if given and all(model.kind == REWARD for model in models):
        raise InputError(f"{given[0]} is for policies; reward models have none. Leave it out")
    if options.reference is not None and not any(model.reference for model in models):
        raise InputError(
            f"loss {models[0].scores} uses no reference model; leave reference out, or name "
            "another loss"
        )


def _run_of(folder: Path) -> tuple[dict[str, Any] | None, TrainOptions | None]:
    """Return run.json and the options of the run that trained a model on pairs; None for others."""
    path = run_file(folder)
    record = read_json(path) if path.is_file() else None
    if record is None or "pairs" not in record or not isinstance(record.get("arguments"), dict):
        return None, None
    hints = get_type_hints(TrainOptions)
    values: dict[str, Any] = {
        name: typed(value, hints[name], f"{path}: {name}")
        for name, value in record["arguments"].items()
        if name in hints
    }
    if not {"pairs", "model"} <= values.keys():
        raise InputError(f"{path}: is not the record of a run: it does not say pairs and model")
    return record, TrainOptions(**values)


def _kind(
    name: str, adapter: AdapterFolder | None, run: TrainOptions | None, options: PredictOptions
) -> str:
    if run is not None:
        return run.objective
    if adapter is not None:
        return REWARD if adapter.reward else POLICY
    hub_id = resolve_model(name)
    if hub_id == TINY:
        return POLICY
    local = check_model(hub_id, options.revision)
    with loading(name):
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(
            hub_id,
            revision=options.revision,
            trust_remote_code=options.trust_remote_code,
            local_files_only=local,
        )
    classes = config.architectures or []
    classifies = any(one.endswith("ForSequenceClassification") for one in classes)
    return REWARD if classifies else POLICY


def _recorded_loss(run: TrainOptions | None) -> str | None:
    return None if run is None else run.loss


def _default_loss(options: PredictOptions) -> str:
    return _REFERENCE_FREE_LOSS if options.reference_free else _LOSS


def _reference(
    name: str,
    adapter: AdapterFolder | None,
    run: TrainOptions | None,
    record: Mapping[str, Any] | None,
    options: PredictOptions,
) -> Reference:
    if options.reference is not None:
        resolve_model(options.reference)
        return Reference(options.reference)
    if run is None:
        if adapter is not None:
            return Reference(adapter.base, adapter.revision)
        raise InputError(
            f"{name}: no run.json there says which reference model it was trained against. Give "
            "--reference MODEL (the model before training), or --reference-free"
        )
    recorded, revision = run.reference, None
    if recorded is None:
        recorded, revision = run.model, run.revision
    try:
        resolve_model(recorded)
    except InputError as error:
        raise InputError(
            f"{name}: the reference model that its run.json names is not here ({error}). Give "
            "--reference"
        ) from error
    role = "model" if run.reference is None else "reference"
    weights = ((record or {}).get("weights") or {}).get(role)
    known = run.quantize is None
    return Reference(recorded, revision, weights if known else None, run.dtype)

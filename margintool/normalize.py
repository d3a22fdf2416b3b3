"""From margins in the source's unit to unit-free ones: fit once on the file, then apply.

Every normaliser is monotone and sends 0 to 0, so ties stay ties and the order of pairs stays.
Fitted statistics are frozen in `Normalizer` and written into the pair file's metadata.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmpo_core.errors import lookup

Floats = npt.NDArray[np.float64]
Params = dict[str, Any]
QUANTILE_KNOTS = 257


@dataclass(frozen=True)
class Normalizer:
    """A fitted normaliser: its name in NORMALIZERS and its statistics, as JSON can hold them."""

    name: str
    params: Params


@dataclass(frozen=True)
class Method:
    """One way to normalise: what it does, how it is fitted, how it is applied."""

    about: str
    fit: Callable[[Floats, float | None], Params]
    apply: Callable[[Floats, Params], Floats]


def fit(name: str, margins: Floats, widest: float | None = None) -> Normalizer:
    """Fit a normaliser to all margins of a file.

    Args:
        name: a key of NORMALIZERS.
        margins: (N,) margin_raw, >= 0.
        widest: the largest gap the source's scale allows, in its unit; None if it has no bound.

    Raises:
        InputError: if the name is not known.
    """
    method = lookup("normaliser", name, NORMALIZERS)
    return Normalizer(name, method.fit(margins, widest))


def apply(normalizer: Normalizer, margins: Floats) -> Floats:
    """Return (N,) normalised margins. Pure: no statistics of `margins` are used."""
    return NORMALIZERS[normalizer.name].apply(margins, normalizer.params)


def _fit_range(margins: Floats, widest: float | None) -> Params:
    observed = float(margins.max(initial=0.0))
    return {"scale": widest if widest else observed or 1.0}


def _fit_rms(margins: Floats, _widest: float | None) -> Params:
    largest = float(margins.max(initial=0.0))
    if largest == 0:
        return {"scale": 1.0}
    # Divided by the largest first: squares of margins beyond 1e154 would overflow.
    return {"scale": largest * float(np.sqrt(np.mean(np.square(margins / largest))))}


def _divide(margins: Floats, params: Params) -> Floats:
    return np.asarray(margins / params["scale"])


def _fit_quantile(margins: Floats, _widest: float | None) -> Params:
    """Knots of the distribution function of the positive margins, each at its mid-rank."""
    positive = np.sort(margins[margins > 0])
    if not positive.size:
        return {"knots": [0.0], "ranks": [0.0]}
    values, counts = np.unique(positive, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / positive.size
    if values.size > QUANTILE_KNOTS:
        keep = np.unique(np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], QUANTILE_KNOTS)))
        values, ranks = values[keep], ranks[keep]
    return {"knots": [0.0, *values.tolist()], "ranks": [0.0, *ranks.tolist()]}


def _interpolate(margins: Floats, params: Params) -> Floats:
    return np.asarray(np.interp(margins, params["knots"], params["ranks"]))


NORMALIZERS: Mapping[str, Method] = {
    "none": Method("margin_raw as it is", lambda _m, _w: {}, lambda m, _p: m),
    "range": Method(
        "margin_raw / the widest gap the scale allows (the largest gap seen, where it has none)",
        _fit_range,
        _divide,
    ),
    "rms": Method("margin_raw / its root mean square over the file", _fit_rms, _divide),
    "quantile": Method(
        "the share of positive margins below it (mid-rank, between 257 fitted knots)",
        _fit_quantile,
        _interpolate,
    ),
    "log1p": Method("ln(1 + margin_raw)", lambda _m, _w: {}, lambda m, _p: np.log1p(m)),
}

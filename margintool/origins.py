"""How the `origin` of a pair that was made of several input rows is written."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def with_more(origin: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    """Return N origins, `file:3 (and 2 more)` where more rows than one are behind them.

    Args:
        origin: where the first row came from.
        rows: (N,) integers >= 1, the number of rows.
    """
    more = pc.binary_join_element_wise(" (and ", pa.array(rows - 1).cast(pa.string()), " more)", "")
    return pc.if_else(pa.array(rows > 1), pc.binary_join_element_wise(origin, more, ""), origin)

"""The text that is embedded for an answer read together with its prompt (`--with-prompt`).

Read by scoring (likeness.py) and by fitting: a model is fitted to what it will be given.
"""

import pyarrow as pa
import pyarrow.compute as pc

BETWEEN = "\n\n"


def response_texts(prompts: pa.ChunkedArray, responses: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return N prompts, each with its answer after an empty line. Null where either is null.

    Args:
        prompts: (N,) last user messages.
        responses: (N,) answers.
    """
    # Long strings: a chunk of prompts and answers together may pass 2 GB.
    prompts, responses = (column.cast(pa.large_string()) for column in (prompts, responses))
    return pc.binary_join_element_wise(prompts, responses, pa.scalar(BETWEEN, pa.large_string()))

"""A page about two runs and an evaluation, written once."""

from pathlib import Path

import numpy as np
import pytest

from margintool.page.writing import report_page
from tests.report_page.made import HISTORY, write_evaluation, write_pair_file, write_run


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    pairs = write_pair_file(folder / "pairs.parquet")
    mmpo = write_run(folder / "mmpo", pairs)
    dpo = write_run(folder / "dpo", pairs, HISTORY[:4], arguments={"loss": "dpo"})
    h = np.linspace(-1, 4, 12).tolist()
    evaluation = write_evaluation(folder / "evaluation", pairs, mmpo=h, dpo=h[::-1])
    page = report_page([mmpo, dpo, evaluation], folder / "report.html", examples=3)
    return page.path

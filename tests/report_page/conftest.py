"""A page of everything: two runs, an evaluation, MT-bench, best of n, an experiment. Once."""

from pathlib import Path

import numpy as np
import pytest

from margintool.page.writing import report_page
from tests.report_page.made import HISTORY, write_evaluation, write_pair_file, write_run
from tests.report_page.made_results import write_best_of_n, write_experiment, write_mt_bench


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    pairs = write_pair_file(folder / "pairs.parquet")
    mmpo = write_run(folder / "mmpo", pairs)
    dpo = write_run(folder / "dpo", pairs, HISTORY[:4], arguments={"loss": "dpo"})
    h = np.linspace(-1, 4, 12).tolist()
    evaluation = write_evaluation(folder / "evaluation", pairs, mmpo=h, dpo=h[::-1])
    results = [
        write_mt_bench(folder / "mt"),
        write_best_of_n(folder / "bon"),
        write_experiment(folder / "exp"),
    ]
    given = [mmpo, dpo, evaluation, *results]
    page = report_page(given, folder / "report.html", examples=3)
    return page.path

"""`margintool experiment`: the paper's claims (arXiv 2410.03145) at a size for two CPU cores.

Read running.py first: how arms are trained and measured, by `sweep` and `evaluate`. Each experiment
is a file: synthetic.py, calibration.py, overfitting.py, cross_dataset.py. registry.py lists them,
comparing.py says what a difference shows, record.py what experiment.json holds.
"""

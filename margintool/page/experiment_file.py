"""The file that an experiment leaves. Here, as experiments have their page written by this package.

Read by folders.py and margintool/experiments/record.py.
"""

EXPERIMENT_FILE = "experiment.json"

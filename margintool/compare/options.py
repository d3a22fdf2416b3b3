"""The defaults of `compare`, once. Read by comparing.py and by margintool/cli/compare.py."""

BOOTSTRAP = 1000
SEED = 0

"""`margintool sweep`: training runs over a grid of settings and seeds, and what came of them.

Read sweeping.py first (the loop), then options.py, grid.py (options to runs), progress.py (which
runs are done), results.py (runs to a table), plot.py.
"""

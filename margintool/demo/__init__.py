"""`margintool demo`: the main job, offline, on simulated votes whose truth is known.

Read run.py first: it is the whole job in order. settings.py has every number that the demo
chooses, heldout.py the evaluation, outcome.py the numbers, table.py and plot.py how they look.
"""

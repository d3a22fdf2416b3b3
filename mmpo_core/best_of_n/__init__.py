"""Best-of-n: what picking the best of n answers by a reward is worth, and how sure the pick is.

Read estimators.py first, then choosing.py.
"""

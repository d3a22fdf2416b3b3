"""Did it work? Predictions of models on held-out pairs, and every number about them.

Read predictions.py first: one row a pair. Numpy; evaluating.py turns predictions into a report.
"""

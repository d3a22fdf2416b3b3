"""How a step's pairs go through the model: rows, micro-batches, masks, log-probs by chunks.

Read rows.py first (which pairs share a forward pass), then batches.py (pairs to tensors),
scoring.py (tensors to log-probs) and check.py (whether a model may share prompts at all).
"""

"""The supervised step before preference training. Read first: train.py.

options.py (what can be asked for), spans.py (where the assistant speaks in a rendered
conversation), tokens.py (token ids and masks), batching.py (micro-batches), trainer.py (the loss).
"""

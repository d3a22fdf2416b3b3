"""Margins from how unlike two answers are: embeddings, their store, and distances.

Read distances.py first, then embedder.py and fill.py. Nothing here knows of layouts or pair files.
"""

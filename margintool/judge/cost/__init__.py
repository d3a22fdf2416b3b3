"""Tokens, prices, and what a run would cost before it starts."""

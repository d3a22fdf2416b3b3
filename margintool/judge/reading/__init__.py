"""What replies say: read in JSON or text, or from log-probabilities. Read parse.py first."""

"""The Batch API: submit, status, collect. Read submit.py first."""

"""Every request and reply, in one SQLite file. Read journal.py first."""

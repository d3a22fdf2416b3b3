"""LLM judges as a margin source: asking, answering, keeping every paid reply, reading it.

    items (item.py) --asking.py--> requests --runner.py or batch--> replies --parse.py--> verdicts

Everything passes through the journal (journal.py): a request is planned there, its reply is
stored there before it is used, and margins are made from what it holds. Read item.py first.
"""

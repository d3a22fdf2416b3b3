"""LLM judges as a margin source: asking, answering, keeping every paid reply, reading it.

    items --asking/--> requests --running/, batch/--> replies --reading/--> verdicts (margins.py)

Everything passes through the journal (journal/): a request is planned there, its reply is stored
there before it is used, and margins are made from what it holds. Read item.py first, then
enquire.py, which puts the parts together; mock/ is the stand-in judge.
"""

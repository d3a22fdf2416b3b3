"""Answers of a language model to conversations, each kept as it comes. READ asked.py FIRST.

    conversations -> asked.py (questions, keys) -> fill.py -> what the file lacks -> a source

A source is a model loaded here (local.py) or a server (margintool/answering.py). answer_file.py
keeps answers on disk. Read by `margintool evaluate --suite mt-bench` and `best-of-n`.
"""

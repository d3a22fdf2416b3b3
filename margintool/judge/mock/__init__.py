"""A stand-in judge: a small OpenAI-compatible server for offline use and tests.

    body --question.py--> what is asked --quality.py--> a verdict --reply.py--> a chat completion

server.py puts HTTP around that, faults.py spoils a share of it, batches.py does the Batch API.
The stand-in counts distinct words; it is no judge of quality. Read quality.py first.
"""

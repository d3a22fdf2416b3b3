"""What judges are asked: wording, fences, and requests with their keys. Read prompts.py first."""

"""`margintool best-of-n`: many answers to each prompt, scored, and the best picked. READ run.py.

What the pick is worth by n, and how sure it is: mmpo_core/best_of_n/.
"""

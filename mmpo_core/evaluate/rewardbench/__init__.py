"""RewardBench: how often a model scores the better of two answers higher, by kind of task.

Read sections.py first (which subsets make which score), then scoring.py and results.py.
`margintool evaluate MODEL --suite rewardbench` is the same from the command line.
"""

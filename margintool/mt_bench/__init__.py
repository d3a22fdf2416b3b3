"""MT-bench: 80 two-turn questions answered by a model and rated by judges. READ run.py FIRST.

    questions.py -> answering.py (both turns) -> rating.py (judges) -> table.py -> results.py

The questions, the temperatures and the way of judging are those of Zheng et al. 2023 (arXiv
2306.05685) and of FastChat's llm_judge; facts.py holds them. Read by margintool/cli/.
"""

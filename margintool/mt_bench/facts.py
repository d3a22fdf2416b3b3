"""What MT-bench fixes, and what others have published. Facts with their sources; no code.

Temperatures and categories: FastChat, fastchat/llm_judge/common.py (`temperature_config`,
`NEED_REF_CATS`). Published numbers: arXiv 2410.03145, judged by GPT-4 with FastChat's prompts.
"""

QUESTIONS = "HuggingFaceH4/mt_bench_prompts"  # on the hub; columns prompt_id, prompt, category
TURNS = 2
SCALE = (1.0, 10.0)

# category -> sampling temperature of the answers
TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
# of a category that is not among them, as in FastChat's gen_model_answer.py
OTHER_TEMPERATURE = 0.7
# The judge is shown a reference answer in these, and in no other.
WITH_REFERENCE = ("math", "reasoning", "coding")

# (model, trained on) -> MT-bench score after DPO, after MMPO
PUBLISHED = {
    ("gemma-2b", "UltraFeedback"): (6.09, 6.10),
    ("gemma-7b", "UltraFeedback"): (7.40, 7.53),
    ("llama-3-8b", "UltraFeedback"): (7.41, 7.58),
    ("gemma-2b", "SHP"): (5.13, 5.57),
    ("gemma-7b", "SHP"): (6.49, 7.23),
}
PUBLISHED_SOURCE = "arXiv 2410.03145, judged by GPT-4"

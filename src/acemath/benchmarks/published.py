"""Published rm@8 on AceMath-RewardBench, in percent (paper, Table 6), to compare own numbers with."""

from __future__ import annotations

COLUMNS = ("GSM8K", "MATH500", "Minerva", "GaoKao", "Olympiad", "College", "MMLU-STEM", "average")
RM_AT_8: dict[str, tuple[float, ...]] = {
    "majority@8": (96.22, 83.11, 41.20, 68.21, 42.69, 45.01, 78.21, 64.95),
    "Internlm2-7b-reward": (95.26, 78.96, 36.25, 67.51, 40.49, 43.88, 75.42, 62.54),
    "Internlm2-20b-reward": (95.10, 76.53, 37.69, 66.63, 40.12, 42.57, 70.60, 61.32),
    "Skywork-Reward-Llama-3.1-8B-v0.2": (95.64, 74.16, 39.11, 67.16, 39.10, 44.58, 76.52, 62.32),
    "Skywork-Reward-Gemma-2-27B-v0.2": (95.94, 74.90, 39.37, 66.96, 39.07, 45.46, 78.20, 62.84),
    "Skywork-o1-Open-PRM-Qwen-2.5-7B": (96.92, 86.64, 41.00, 72.34, 46.50, 46.30, 74.01, 66.24),
    "Qwen2.5-Math-RM-72B": (96.61, 86.63, 43.60, 73.62, 47.21, 47.29, 84.24, 68.46),
    "AceMath-7B-RM": (96.66, 85.47, 41.96, 73.82, 46.81, 46.37, 80.78, 67.41),
    "AceMath-72B-RM": (97.23, 86.72, 45.06, 74.69, 49.23, 46.79, 87.01, 69.53),
    "pass@8 oracle": (98.86, 91.84, 56.18, 82.09, 59.00, 56.38, 96.15, 77.21),
}

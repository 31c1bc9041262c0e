"""Benchmarks, AceMath-RewardBench, evaluation, and the paper's published numbers."""

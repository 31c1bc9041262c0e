"""Prompts and responses made fit for training: evolve, filter, deduplicate, decontaminate, cross-check, blend."""

"""Curation of training data: evolve, filter, deduplicate, decontaminate, cross-check, blend."""

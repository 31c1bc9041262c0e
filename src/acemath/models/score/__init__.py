"""Reward models: their heads, their inputs and their scores."""

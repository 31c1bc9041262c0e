"""Preflight: what can be known of a recipe before anything is run or paid for, all faults at once."""

"""The reward model: groups to learn from, the listwise loss, training, scoring, best-of-N."""

"""Training policies and reward models, and what both share."""

"""A run's settings: their schema, their defaults and the plan that follows from them."""

"""A run of a recipe: its partitions, its stages, and the store that lets a stopped run go on."""

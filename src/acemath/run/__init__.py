"""A recipe's stages in order, each resumable, and what they make of each other."""

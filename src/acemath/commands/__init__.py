"""What each command does, one module a kind of work; `acemath.cli` only parses and calls."""

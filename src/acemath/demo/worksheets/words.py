"""The names and things in worksheet stories: few, so that nano's tokenizer has a token for each."""

from __future__ import annotations

NAMES: tuple[str, ...] = (
    "Tom", "Anna", "Ben", "Lily", "Sam", "Mia", "Leo", "Nora", "Max", "Ella", "Omar", "Yuki",
)  # fmt: skip
THINGS: tuple[str, ...] = (
    "apples", "books", "pens", "coins", "cards", "stamps", "eggs", "shells", "balls", "cups", "stones", "beads",
)  # fmt: skip

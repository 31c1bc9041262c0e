"""The result of one stage of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SftResult:
    """The figures of a stage's training.

    `curve` rows hold {step, loss, learning_rate} or {step, eval_loss}; losses are means over response tokens.
    `conversations` counts those that were given. `cut` of them were longer than max_length; in `unlearned` of those no
    response began within max_length, so they were left out. `tokens` counts the tokens of one epoch,
    `learned_tokens` those of responses, both without validation. `stop_ids` are the tokens that end a
    response. `seconds`, `tokens_per_second` (of all processes) and `mfu` (of each on average, see
    acemath.train.speed) are this call's.
    """

    curve: list[dict[str, float]]
    validation_before: float | None
    validation_after: float | None
    conversations: int
    cut: int
    unlearned: int
    tokens: int
    learned_tokens: int
    padding: float  # share of padding where every row is padded to the longest
    stop_ids: list[int]
    seconds: float
    tokens_per_second: float
    mfu: float

    @property
    def summary(self) -> str:
        """Conversations and tokens in a few words, with what was cut and left out."""
        parts = [f"{self.conversations:,} conversations"]
        if self.cut:
            parts.append(f"{self.cut:,} longer than max_length")
        if self.unlearned:
            parts.append(f"{self.unlearned:,} of them left out, as no response has room")
        return ", ".join([*parts, f"{self.tokens:,} tokens, {self.learned_tokens:,} of them learned"])

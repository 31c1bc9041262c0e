"""The result of one stage of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SftResult:
    """The figures of one stage of fine-tuning.

    `curve` rows hold {step, loss, learning_rate} or {step, eval_loss}; losses are means over response tokens.
    `conversations` is the number given. `cut` of them were longer than max_length; `unlearned` of those had no
    response that began within max_length and were left out. `tokens` counts the tokens of one epoch and
    `learned_tokens` those of its responses, both without validation. `stop_ids` are the tokens that end a
    response. `seconds`, `tokens_per_second` (all processes together) and `mfu` (per process, see
    acemath.train.speed) measure this call alone.
    """

    curve: list[dict[str, float]]
    validation_before: float | None
    validation_after: float | None
    conversations: int
    cut: int
    unlearned: int
    tokens: int
    learned_tokens: int
    padding: float  # share of padding if every row were padded to the longest
    stop_ids: list[int]
    seconds: float
    tokens_per_second: float
    mfu: float

    @property
    def summary(self) -> str:
        """Conversations and tokens in a few words, and how many conversations were cut or left out."""
        parts = [f"{self.conversations:,} conversations"]
        if self.cut:
            parts.append(f"{self.cut:,} longer than max_length")
        if self.unlearned:
            parts.append(f"{self.unlearned:,} of them left out because no response has room")
        return ", ".join([*parts, f"{self.tokens:,} tokens, {self.learned_tokens:,} of them learned"])

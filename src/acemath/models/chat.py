"""A model's chat template: the prompt for generation, the text to train on, and the token that ends a response.

Training, generation and scoring all render conversations here, so a policy is prompted as it was trained, and a reward
model reads what it was trained on. Templates differ. This module evens out the differences, with one notice each:

- A template without a system role (Gemma's, older ones of Mistral) gets the system prompt in front of the user's text.
- A template that leaves out a question or a system prompt is refused, so no text is lost silently.
- A template without a generation prompt gets what it writes before a response.
- A template that writes today's date (Llama 3.1's, Granite's) gets a fixed date.
- Some templates change a response once it is part of the history: R1 and its distillations drop the thoughts, and open
  `<think>` in the generation prompt. The text to train on is then the generation prompt followed by the response.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

from jinja2 import TemplateError

from acemath.errors import UserError
from acemath.notices import say_once

Messages = Sequence[Mapping[str, str]]
PROBE = "acemathprobe"  # a text that no template changes
QUESTION = ({"role": "user", "content": "1+1?"},)
DATE = datetime(2024, 7, 26)  # the date in Llama 3.1's template; a fixed one keeps prompts the same on every day
_OPENED = re.compile(r"<\w+>\s*$")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text. `spans` are the (start, end) of the responses in it, each with its end of turn.

    The last span is the last response, at the end of the text; the text before it is the prompt for generation.
    `unlearned` counts earlier responses without a span, because the template rewrites them. `rebuilt` says that the
    template would have changed the last prompt or response, so the text is not the template's.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    unlearned: int = 0
    rebuilt: bool = False


def chat_template(tokenizer: Any) -> ChatTemplate:
    """The chat template that a tokenizer has now. It is cached."""
    return _made(tokenizer, str(tokenizer.chat_template))


class ChatTemplate:
    """Renders the conversations of one model. `chat_template` makes it."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.model = str(tokenizer.name_or_path or type(tokenizer).__name__)

    def prompt(self, messages: Messages) -> str:
        """The prompt for generation. UserError if the template refuses the conversation."""
        turns = self._turns(messages)
        text = self._head(turns)
        self._check_complete(turns, text)
        return text

    def conversation(self, messages: Messages) -> Rendered:
        """A conversation that ends with a response. UserError if it does not, or if the template refuses it."""
        turns = self._turns(messages)
        if len(turns) < 2 or turns[-1]["role"] != "assistant":
            raise UserError(
                f"a conversation has the roles {[turn['role'] for turn in turns]}; it must hold a question and end "
                "with the assistant's response"
            )
        head, text = self._head(turns[:-1]), self._render(turns)
        response = turns[-1]["content"]
        rebuilt = not self._holds(text, head, text, response)
        if rebuilt:
            text = head + self._gap + self._unopened(response) + self.closing
        self._check_complete(turns[:-1], text)
        roles = [turn["role"] for turn in turns[:-1]]
        # A greeting before the first question is not a response.
        earlier = [at for at, role in enumerate(roles) if role == "assistant" and "user" in roles[:at]]
        found = [span for at in earlier if (span := self._span(text, turns, at)) is not None]
        return Rendered(text, (*found, (len(head), len(text))), len(earlier) - len(found), rebuilt)

    def _span(self, text: str, turns: Sequence[dict[str, str]], at: int) -> tuple[int, int] | None:
        """The (start, end) of turn `at` in the text, with its end of turn; None if the text changes it."""
        head, whole = self._head(turns[:at]), self._render(turns[: at + 1])
        if not text.startswith(whole):  # Phi-3 writes one more token after the last turn
            whole = whole.removesuffix(self.closing) + self._closing_token
        found = text.startswith(whole) and self._holds(text, head, whole, turns[at]["content"])
        return (len(head), len(whole)) if found else None

    def _holds(self, text: str, head: str, whole: str, content: str) -> bool:
        """Whether `text` starts with `head` and then, within the length of `whole`, holds `content` up to white space."""
        return text.startswith(head) and _squeezed(self._unopened(content)) in _squeezed(
            text[len(head) : len(whole)]
        )

    def _check_complete(self, turns: Sequence[Mapping[str, str]], text: str) -> None:
        """UserError if the text lacks a question or a system prompt. Earlier responses may be shortened."""
        squeezed = _squeezed(text)
        for number, turn in enumerate(turns, 1):
            if turn["role"] != "assistant" and _squeezed(turn["content"]) not in squeezed:
                raise UserError(
                    f"the chat template of {self.model} leaves out turn {number} ({turn['role']}: "
                    f"{turn['content'].strip()[:40]!r}); put its text into another turn, or correct the template"
                )

    @cached_property
    def opening(self) -> str:
        """The part of the response that the generation prompt already writes, such as `<think>`; "" for most."""
        before, head = self._around[0], self._head(QUESTION)
        if head.startswith(before):
            return head[len(before) :]
        # In Qwen3's template for thinking only, a response without thoughts begins with an empty `<think>`.
        opened = _OPENED.search(head)
        return opened[0] if opened else ""

    @property
    def closing(self) -> str:
        """What the template writes right after a response, such as `<|im_end|>` and a line break."""
        return self._around[1]

    @cached_property
    def end(self) -> int | None:
        """The token that ends a response: the first special token that the template writes after it, or None."""
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        return next((int(i) for i in self._ids([self.closing])[0] if i in special), None)

    @cached_property
    def _closing_token(self) -> str:
        """`closing` up to the token that ends a response; all of it if there is none."""
        token = "" if self.end is None else str(self.tokenizer.convert_ids_to_tokens(self.end))
        before, found, _ = self.closing.partition(token) if token else ("", "", "")
        return before + found if found else self.closing

    def stop_ids(self, generation_config: Any = None) -> list[int]:
        """The tokens that end a response, sorted: those of the template, the tokenizer and a generation config.

        UserError for a generation config whose eos_token_id is neither an id nor a list of ids.
        """
        named = getattr(generation_config, "eos_token_id", None)
        ids = named if isinstance(named, list) else [named]
        if not all(isinstance(one, int | None) for one in ids):
            raise UserError(f"the generation config of {self.model} has the eos_token_id {named!r}; it is a token's id, or a list of ids")
        found = {self.end, self.tokenizer.eos_token_id, *ids}
        return sorted(int(i) for i in found if i is not None)

    def encode(self, texts: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """The ids of texts that are given in pieces: texts[i][j] becomes ids[i][j]. No special tokens are added.

        The ids of a piece do not depend on later pieces, so a prompt has the same ids with and without its response.
        """
        if self._in_pieces:
            ids = iter(self._ids([piece for text in texts for piece in text]))
            return [[next(ids) for _ in text] for text in texts]
        return [self._continued(text) for text in texts]

    def _continued(self, pieces: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = []
        before: list[int] = []
        for piece, upto in zip(pieces, self._ids(list(accumulate(pieces))), strict=True):
            follows = upto[: len(before)] == before
            found.append(upto[len(before) :] if follows else self._ids([piece])[0])
            before = [*before, *found[-1]]
        return found

    @cached_property
    def _in_pieces(self) -> bool:
        """Whether pieces have the same ids alone. Not if the tokenizer adds a space before a text (Llama 2, Mistral)."""
        whole, first, second = self._ids([f"\n{PROBE}", "\n", PROBE])
        return whole == first + second

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return list(self.tokenizer(list(texts), add_special_tokens=False)["input_ids"])

    def written(self, ids: Sequence[int]) -> str:
        """The text of a response's `ids`, which do not include the token that ends it.

        Special tokens stay in the text. An end of turn that the tokenizer knows only as plain text is removed.
        """
        text = str(self.tokenizer.decode(list(ids), skip_special_tokens=False)).strip()
        return text.removesuffix(self.closing.strip()).strip()

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template writes a system prompt. Others raise an error or leave it out."""
        try:
            return PROBE in self._render(
                [{"role": "system", "content": PROBE}, *QUESTION], True
            )
        except UserError:
            return False

    @cached_property
    def _around(self) -> tuple[str, str]:
        """What the template writes before and after the first response."""
        whole = self._render([*QUESTION, {"role": "assistant", "content": PROBE}])
        before, found, after = whole.rpartition(PROBE)
        if not found:
            raise UserError(
                f"the chat template of {self.model} does not write the assistant's response; use one that does"
            )
        return before, after

    def _head(self, turns: Sequence[Mapping[str, str]]) -> str:
        """The prompt for generation after these turns."""
        return self._render(turns, True) + self._header

    @cached_property
    def _header(self) -> str:
        """What the template writes before a response, if it has no generation prompt; "" for most."""
        question, before = self._render(QUESTION), self._around[0]
        header = before.removeprefix(question)
        if question != self._render(QUESTION, True) or not before.startswith(question) or not header.strip():
            return ""
        say_once(
            f"the chat template of {self.model} has no generation prompt; {header.strip()!r}, which it writes before "
            "responses, is used"
        )
        return header

    @cached_property
    def _gap(self) -> str:
        """White space that the template writes between the generation prompt and the response."""
        before, head = self._around[0], self._head(QUESTION)
        gap = before.removeprefix(head) if before.startswith(head) else ""
        return gap if not gap.strip() else ""

    def _unopened(self, response: str) -> str:
        """The response without `opening`, which the generation prompt already holds."""
        opened = self.opening.strip()
        rest = response.lstrip()
        return rest.removeprefix(opened).lstrip() if opened and rest.startswith(opened) else response

    def _turns(self, messages: Messages) -> list[dict[str, str]]:
        turns = [{**message, "content": _encodable(message["content"])} for message in messages]
        if self.takes_system or all(turn["role"] != "system" for turn in turns):
            return turns
        say_once(
            f"the chat template of {self.model} has no system role; system prompts are put in front of the user's text"
        )
        return _folded(turns)

    def _render(self, turns: Sequence[Mapping[str, str]], prompt: bool = False) -> str:
        if "strftime_now" in str(self.tokenizer.chat_template):
            say_once(
                f"the chat template of {self.model} writes today's date; it gets {DATE:%d %b %Y} instead, so that training, "
                "generation and scoring read the same text"
            )
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    list(turns), tokenize=False, add_generation_prompt=prompt, strftime_now=DATE.strftime
                )
            )
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(turn["role"] for turn in turns[:8]) + (", …" if len(turns) > 8 else "")
            why = " ".join(str(error).split())
            raise UserError(
                f"the chat template of {self.model} refuses a conversation with the roles {roles} ({why}); "
                "correct its turns, or the template"
            ) from error


@lru_cache(maxsize=8)
def _made(tokenizer: Any, template: str) -> ChatTemplate:
    return ChatTemplate(tokenizer)


def _encodable(text: str) -> str:
    """The text with lone surrogates, which no tokenizer takes, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _folded(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The turns, with each system text in front of the text of the next user turn."""
    found: list[dict[str, str]] = []
    waiting: list[str] = []
    for turn in turns:
        if turn["role"] == "system":
            waiting.append(turn["content"])
        elif turn["role"] == "user" and waiting:
            found.append({**turn, "content": "\n\n".join([*filter(str.strip, waiting), turn["content"]])})
            waiting = []
        else:
            found.append(turn)
    if waiting:
        raise UserError("a system turn has no user turn after it; put the system text first")
    return found


def _squeezed(text: str) -> str:
    """The text without white space."""
    return "".join(text.split())

"""Process reward models: a probability that each step of a response is right, and one number made from them.

`qwen` (Qwen2.5-Math-PRM): the mark `<extra_0>` follows each step inside the assistant's turn, and a head of two layers
gives two logits at each mark, of which the second stands for a right step. `shepherd` (Math-Shepherd): a language model
reads the problem and the steps as plain text, each with the tag `ки` after it; at a tag the probability of `+` against
`-` counts. `skywork` (Skywork-o1-Open-PRM): each line is a step, and a value head gives one logit at the line break that
ends it. Steps of the first two end at blank lines. Each form is that of the model's card.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.hardware import device, has_bf16, memory_for, pass_tokens
from acemath.models.hub import at_revision, content_of
from acemath.models.layers import keep_bounds
from acemath.models.loading import chat_tokenizer, check_whole, loading
from acemath.models.score.heads import (
    QWEN_CHAT,
    VALUE,
    check_architecture,
    head_kind,
    head_tensors,
    output_rows,
    remembered_chat,
)
from acemath.models.score.judging import Item, Judge, Progress, equal_scores, of_distinct, silent
from acemath.models.score.layout import (
    NoRoom,
    Row,
    encode_row,
    no_room,
    plain_batch,
    token_batches,
    without_middle,
)
from acemath.models.score.model import all_states, head_outputs, layered_head
from acemath.models.score.passes import Passes
from acemath.models.score.settings import Aggregation, ProcessModelSettings
from acemath.models.score.vllm import VllmSteps
from acemath.notices import say

EXTRA, TAG, RIGHT_WRONG = "<extra_0>", "ки", "+ -"
CHUNK = 256  # responses that vLLM reads between two steps of progress
# The form of each kind of head, and what the head is.
HEADS = {
    "process": ("qwen", "a head with two outputs"),
    "value": ("skywork", "a value head"),
    "none": ("shepherd", "no head"),
}
_BLANK = re.compile(r"\n\s*\n")


class Steps(NamedTuple):
    """A response as tokens: the row that the model reads, and the positions [S] of its marks in that row."""

    row: Row
    marks: list[int]


def steps_of(text: str) -> list[str]:
    """The steps of a response, which blank lines separate; one empty step for an empty response."""
    return [step.strip() for step in _BLANK.split(text) if step.strip()] or [""]


def aggregated(steps: Sequence[float], how: Aggregation) -> float:
    """One number from the probabilities of steps: the lowest, the product, or the last."""
    if how == "last":
        return steps[-1]
    return min(steps) if how == "min" else math.prod(steps)


class ProcessRewardModel(Judge):
    """A process reward model in one of the forms above. It computes in bfloat16 where the hardware has it."""

    def __init__(self, settings: ProcessModelSettings) -> None:
        """Load the model, on a GPU if there is one. UserError if its files do not fit the form."""
        self.settings = settings
        path = at_revision(settings.model, settings.revision)
        check_architecture(path)
        self.name, self.path = settings.model, path
        self.form = form_of(path, settings.form)
        half = settings.dtype == "bfloat16" and has_bf16()
        self.dtype = torch.bfloat16 if half else torch.float32
        if settings.chat is not None and self.form != "qwen":
            raise UserError(
                f"judge {self.name!r} of form {self.form} reads plain text, not a conversation; leave chat out"
            )
        self.chat = settings.chat or remembered_chat(path) or QWEN_CHAT
        self.tokenizer = _tokenizer(path, self.form)
        self.max_length = settings.max_length
        self.vllm: VllmSteps | None = None
        if settings.engine == "vllm":
            self.vllm = VllmSteps(resolve(path), self.form, settings.max_length, half, settings.vllm_options())
            self.max_length = self.vllm.max_length
            self.head: torch.nn.Module = torch.nn.Sequential()  # vLLM has applied Qwen's
            if self.form == "shepherd":
                self.head = _shepherd_head(output_rows(path, _wrong_right(path, self.tokenizer)))
        else:
            self.model, self.head = _loaded(path, self.form, self.dtype, self.tokenizer)
            self.passes = Passes(self.name, pass_tokens(device()))
        self._tag = tag_id(self.tokenizer, path) if self.form == "shepherd" else -1
        self.encode = {"qwen": self._qwen, "shepherd": self._shepherd, "skywork": self._skywork}[self.form]

    def identity(self) -> dict[str, Any]:
        """All that the scores depend on."""
        return {
            "kind": "process",
            "model": self.name,
            "weights": content_of(self.path),
            "form": self.form,
            "engine": self.settings.engine,
            "aggregation": self.settings.aggregation,
            "dtype": str(self.dtype).removeprefix("torch."),
            "chat": self.chat.model_dump() if self.form == "qwen" else None,
            "max_length": self.max_length,
        }

    def close(self) -> None:
        """Free the memory of the model."""
        if self.vllm is not None:
            self.vllm.close()
        self.model = None

    def score_many(self, items: Sequence[Item], progress: Progress = silent) -> list[list[float]]:
        """The scores of responses to many problems: scores[i][j] belongs to response j of items[i].

        Equal responses to a problem are scored once. UserError if the model gives nan or inf.
        """
        steps = self.step_scores(items, progress)
        scores = [[aggregated(found, self.settings.aggregation) if found else math.nan for found in row] for row in steps]
        for alarm in equal_scores(
            of_distinct(items, scores), "is the head loaded?", "are the marks of the steps right?"
        ):
            say(alarm)
        return scores

    @torch.inference_mode()
    def step_scores(self, items: Sequence[Item], progress: Progress = silent) -> list[list[list[float]]]:
        """The probability of each step: [problem][response][step]. Steps in a cut middle are missing.

        A response to a prompt that leaves no room for it has none, and a notice says so.
        """
        wanted = list(dict.fromkeys((prompt, text) for prompt, texts in items for text in texts))
        coded: list[tuple[Steps, bool]] = []
        for number, (prompt, text) in enumerate(wanted):
            with suppress(NoRoom):
                coded.append(self._coded(prompt, text, number))
        if len(coded) < len(wanted):
            lost = len({prompt for prompt, _ in wanted} - {wanted[steps.row.key][0] for steps, _ in coded})
            say(no_room(lost, len(items), self.max_length))
        if cut := sum(was_cut for _, was_cut in coded):
            say(
                f"{cut:,} of {len(coded):,} responses were longer than {self.max_length} tokens and were "
                "judged without their middle"
            )
        found: list[list[float]] = [[] for _ in wanted]
        done = 0
        for some, outputs in self._outputs([steps for steps, _ in coded]):
            values = iter(probabilities(outputs).tolist())
            for steps in some:
                found[steps.row.key] = [next(values) for _ in steps.marks]
            done += len(some)
            progress(done, len(coded), "")
        if wrong := sum(not all(map(math.isfinite, row)) for row in found):
            raise UserError(
                f"judge {self.name!r} gives nan or inf for {wrong} of {len(found)} responses; download it again, or set dtype: float32"
            )
        table = dict(zip(wanted, found, strict=True))
        return [[table[prompt, text] for text in texts] for prompt, texts in items]

    def _outputs(self, coded: Sequence[Steps]) -> Iterator[tuple[list[Steps], Tensor]]:
        """Some of the responses at a time, with the outputs [S, L] of the head at all of their marks."""
        if self.vllm is not None:
            for at in range(0, len(coded), CHUNK):
                some = list(coded[at : at + CHUNK])
                rows = [[*steps.row.prompt, *steps.row.responses[0]] for steps in some]
                mark = rows[0][some[0].marks[0]]
                found = torch.cat(self.vllm.at_marks(rows, [len(steps.marks) for steps in some], mark))
                yield some, head_outputs(self.head, found)
            return
        by_key = {steps.row.key: steps for steps in coded}
        batches = token_batches([steps.row for steps in coded], self.passes.budget)
        for batch, states in self.passes.read(batches, lambda rows: all_states(self.model, plain_batch(rows, 0))):
            some = [by_key[row.key] for row in batch]
            where = [(b, mark) for b, steps in enumerate(some) for mark in steps.marks]
            lines, columns = (torch.tensor(side, device=states.device) for side in zip(*where, strict=True))
            yield some, head_outputs(self.head, states[lines, columns])

    def _coded(self, prompt: str, text: str, key: int) -> tuple[Steps, bool]:
        """A response as tokens with its marks, and whether it was cut. UserError if no mark is left."""
        row, cut, mark = self.encode(prompt, text, key)
        marks = [at + len(row.prompt) for at, token in enumerate(row.responses[0]) if token == mark]
        if not marks:
            raise UserError(
                f"judge {self.name!r}: the tokens of a response hold no mark of a step; the tokenizer does not know the mark of "
                f"form {self.form}, or max_length {self.max_length} is too short"
            )
        return Steps(row, marks), cut

    def _qwen(self, prompt: str, text: str, key: int) -> tuple[Row, bool, int]:
        marked = "".join(step + EXTRA for step in steps_of(text.replace(EXTRA, "")))
        row, cut = encode_row(prompt, [marked], self.tokenizer, self.chat, self.max_length, key)
        return row, bool(cut), int(self.tokenizer.convert_tokens_to_ids(EXTRA))

    def _shepherd(self, prompt: str, text: str, key: int) -> tuple[Row, bool, int]:
        marked = "\n".join(f"{step} {TAG}" for step in steps_of(text.replace(TAG, "")))
        before, whole = self._ids(prompt), self._ids(f"{prompt} {marked}")
        start = next(
            (at for at, (one, two) in enumerate(zip(before, whole, strict=False)) if one != two), len(before)
        )
        row, cut = self._row(whole[:start], whole[start:], key)
        return row, cut, self._tag

    def _skywork(self, prompt: str, text: str, key: int) -> tuple[Row, bool, int]:
        line_break = self.tokenizer("\n", add_special_tokens=False)["input_ids"][-1]
        response: list[int] = []
        for step in text.strip().split("\n"):
            response += [*(self._ids(step) if step else []), line_break]
        row, cut = self._row(self._ids(f"{self.tokenizer.bos_token or ''}{prompt}\n"), response, key)
        return row, cut, int(line_break)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text)["input_ids"])

    def _row(self, prompt: list[int], response: list[int], key: int) -> tuple[Row, bool]:
        room = self.max_length - len(prompt)
        if room < 2:
            raise NoRoom(
                f"a prompt of {len(prompt)} tokens leaves no room for a response in max_length {self.max_length}; raise it"
            )
        return Row(prompt, [without_middle(response, room)], key), len(response) > room


def probabilities(logits: Tensor) -> Tensor:
    """The probability [N] of a right step, from one logit [N, 1] or those of wrong and right [N, 2]."""
    return torch.sigmoid(logits[:, 0]) if logits.shape[1] == 1 else torch.softmax(logits, -1)[:, 1]


def form_of(path: str, asked: str) -> str:
    """The form of a model: the one that is asked for, or with "auto" the one that its head shows.

    UserError if the head does not fit, or shows no form.
    """
    kind = head_kind(path)
    if kind is None:
        raise UserError(
            f"judge {path!r} has no weights that can be read; give a model's folder with safetensors, or a hub name that can be "
            "reached"
        )
    if kind not in HEADS:
        raise UserError(
            f"{path!r} has no head of a process reward model; if it is a reward model, give kind: reward"
        )
    found, what = HEADS[kind]
    if asked == "auto" and kind == "none":
        raise UserError(
            f"{path!r} is a language model, whose files do not say whether it judges steps; give form: shepherd, if it is one like "
            "Math-Shepherd"
        )
    if asked not in ("auto", found):
        raise UserError(f"{path!r} has {what}, so its form is not {asked}; give form: {found}")
    return found


def tag_id(tokenizer: Any, path: str) -> int:
    """The token of Math-Shepherd's tag. UserError if the tokenizer splits it: parts of it would count as tags."""
    found = int(tokenizer(TAG, add_special_tokens=False)["input_ids"][-1])
    if tokenizer.decode([found]).strip() != TAG:
        raise UserError(
            f"the tokenizer of {path!r} has no token {TAG!r}, which marks the steps of form shepherd; give the right form"
        )
    return found


def _tokenizer(path: str, form: str) -> Any:
    if form != "qwen":
        with loading(path):
            return AutoTokenizer.from_pretrained(resolve(path))
    tokenizer = chat_tokenizer(path)
    if tokenizer(EXTRA, add_special_tokens=False)["input_ids"] != [tokenizer.convert_tokens_to_ids(EXTRA)]:
        raise UserError(
            f"the tokenizer of {path!r} has no token {EXTRA}, which marks the steps of form qwen; give the right form"
        )
    return tokenizer


def _loaded(path: str, form: str, dtype: torch.dtype, tokenizer: Any) -> tuple[Any, torch.nn.Module]:
    """The model, whose head of its own is not used, and the head for the states of marks."""
    kind = AutoModelForCausalLM if form == "shepherd" else AutoModelForSequenceClassification
    with loading(path):
        model, report = kind.from_pretrained(
            resolve(path), dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    check_whole(path, {name for name in report["missing_keys"] if not name.startswith("score.")})
    keep_bounds(model)
    with memory_for(f"judge {path!r}", "dtype: bfloat16, or engine: vllm with tensor_parallel needs less"):
        model = model.to(device()).eval()
    return model, _head(path, form, model, tokenizer).to(device()).eval()


def _head(path: str, form: str, model: Any, tokenizer: Any) -> torch.nn.Module:
    if form == "qwen":
        return layered_head(path)
    if form == "shepherd":
        return _shepherd_head(model.get_output_embeddings().weight[_wrong_right(path, tokenizer)])
    head = torch.nn.Linear(model.config.get_text_config().hidden_size, 1)
    with torch.no_grad(), loading(path):
        tensors = head_tensors(path)
        head.weight.copy_(tensors[VALUE])
        head.bias.copy_(tensors[VALUE.replace("weight", "bias")])
    return head


def _shepherd_head(rows: Tensor) -> torch.nn.Module:
    """The head from the rows [2, H] of the output layer for wrong and right."""
    head = torch.nn.Linear(rows.shape[1], 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(rows)
    return head


def _wrong_right(path: str, tokenizer: Any) -> list[int]:
    """The tokens that Math-Shepherd writes for a wrong step and for a right one."""
    ids = tokenizer(RIGHT_WRONG, add_special_tokens=False)["input_ids"]
    if len(ids) != 2:
        raise UserError(
            f"{path!r}: {RIGHT_WRONG!r} is {len(ids)} tokens, not the two that form shepherd compares; give the right form"
        )
    return [ids[1], ids[0]]

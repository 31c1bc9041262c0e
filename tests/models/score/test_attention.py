"""Attention among texts in a row equals plain attention written out, whatever their lengths, pasts and groups of heads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from acemath.models.hardware import PLAIN_ATTENTION_TOKENS, attention
from acemath.models.score import attention as module_under_test
from acemath.models.score.attention import Span, attention_of_texts, plan_row

# By number: tokens, and the text it goes on from. 0 and 3 begin anew, 2 goes on from 1, which goes on from 0.
TEXTS = [(5, None), (131, 0), (256, 1), (1, None), (7, 3), (127, 0), (1, 3)]


def chain(number: int) -> list[int]:
    """The texts that a text goes on from, and itself."""
    after = TEXTS[number][1]
    return [*(chain(after) if after is not None else []), number]


def plain(
    q: list[torch.Tensor], k: list[torch.Tensor], v: list[torch.Tensor], number: int, cap: float | None
) -> torch.Tensor:
    """The definition, in float64: a text's attention [T, H, D] over its past and itself, every head with keys of its own."""
    keys, values = (
        torch.cat([part[at] for at in chain(number)], 1).repeat_interleave(2, 0).double() for part in (k, v)
    )
    scores = q[number].double() @ keys.transpose(1, 2) * 0.25
    if cap:
        scores = cap * torch.tanh(scores / cap)
    later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(scores.shape[2] - scores.shape[1] + 1)
    return (scores.masked_fill(later, -torch.inf).softmax(-1) @ values).transpose(0, 1)


CPU = torch.device("cpu")


@pytest.fixture(params=["apart", "as it comes", "together"])
def grouped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many parts stand beside one another: one, some, or all."""
    if request.param == "apart":
        monkeypatch.setattr(module_under_test, "SCORES", 0)
    elif request.param == "together":
        monkeypatch.setattr(module_under_test, "SPARE", 1 << 40)
        monkeypatch.setattr(module_under_test, "SCORES", 1 << 40)


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("cap", [None, 30.0])
def test_texts_equal_the_definition_with_gradients(cap: float | None) -> None:
    """Four heads on two groups of keys."""
    torch.manual_seed(0)
    q = [torch.randn(4, length, 16, requires_grad=True) for length, _ in TEXTS]
    k, v = ([torch.randn(2, length, 16, requires_grad=True) for length, _ in TEXTS] for _ in range(2))
    expected = [plain(q, k, v, number, cap) for number in range(len(TEXTS))]
    spans: list[Span] = []
    for length, after in TEXTS:
        start = spans[-1].end if spans else 0
        spans.append(Span(start, start + length, after))
    row = (torch.cat(part, 1)[None] for part in (q, k, v))
    texts = plan_row(spans, torch.float32, CPU)
    given, _ = attention_of_texts(SimpleNamespace(), *row, None, 0.25, softcap=cap, texts=texts)
    found = [given[0, span.start : span.end] for span in spans]
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and torch.allclose(one.double(), other, atol=1e-5)
    ours = torch.autograd.grad(sum(part.square().sum() for part in found), [*q, *k, *v])
    theirs = torch.autograd.grad(sum(part.square().sum() for part in expected), [*q, *k, *v])
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other.to(one.dtype), rtol=1e-3, atol=1e-4)


def test_the_fused_kernel_gives_the_same() -> None:
    """Three texts, four heads on two groups of keys: the way of a GPU, and of long texts."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 5, 32), torch.randn(3, 2, 9, 16), torch.randn(3, 2, 9, 16)
    bias = torch.zeros(3, 5, 9).masked_fill(torch.ones(3, 5, 9, dtype=torch.bool).triu(5), -torch.inf)
    plain, fused = (
        module_under_test._plain(q, k, v, bias, 0.25, None),
        module_under_test._fused(q, k, v, bias, 0.25),
    )
    assert plain.shape == (3, 5, 2, 32) and torch.allclose(plain, fused, atol=1e-6)


def test_groups_waste_little_and_stay_small() -> None:
    """Padding beyond what is spared is a share of a group's own scores; no text is lost."""
    sizes = torch.randint(1, 400, (300, 2), generator=torch.Generator().manual_seed(0)).tolist()
    texts = [module_under_test.Text(torch.arange(t), torch.arange(t + past)) for t, past in sizes]
    groups = list(module_under_test._alike(texts, 1 << 18))
    assert sorted(id(text) for group in groups for text in group) == sorted(map(id, texts))
    assert 10 < len(groups) < 200
    for group in groups:
        padded = len(group) * max(len(t.queries) for t in group) * max(len(t.keys) for t in group)
        own = sum(len(text.queries) * len(text.keys) for text in group)
        assert padded <= module_under_test.SPARE + module_under_test.WASTE * own
        assert padded <= 1 << 18 or len(group) == 1


def test_a_model_that_does_not_hand_on_the_texts_is_told() -> None:
    """Without them attention would look at other texts."""
    with pytest.raises(TypeError, match="which texts a row holds"):
        attention_of_texts(SimpleNamespace(layer_idx=0), *[torch.zeros(1, 2, 3, 4)] * 3, None, 1.0)


def test_padded_rows_take_plain_attention_while_they_are_short() -> None:
    """On processors; a GPU always takes the fused kernel."""
    cpu = torch.device("cpu")
    assert attention(cpu, PLAIN_ATTENTION_TOKENS) == "eager"
    assert attention(cpu, PLAIN_ATTENTION_TOKENS + 1) == attention(torch.device("cuda"), 100) == "sdpa"

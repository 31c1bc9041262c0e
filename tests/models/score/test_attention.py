"""Attention over packed segments equals plain attention, whatever their lengths, parents and shared heads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from acemath.models.hardware import PLAIN_ATTENTION_TOKENS, attention
from acemath.models.score import attention as module_under_test
from acemath.models.score.attention import Segment, plan_row, segment_attention

# The tokens and the parent of each segment. 0 and 3 start texts; 2 continues 1, which continues 0.
SEGMENTS = [(5, None), (131, 0), (256, 1), (1, None), (7, 3), (127, 0), (1, 3)]


def chain(number: int) -> list[int]:
    """A segment after all those that it continues, by number."""
    parent = SEGMENTS[number][1]
    return [*(chain(parent) if parent is not None else []), number]


def plain(
    q: list[torch.Tensor], k: list[torch.Tensor], v: list[torch.Tensor], number: int, cap: float | None
) -> torch.Tensor:
    """The definition in float64: the attention [T, H, D] of a segment, with a copy of the keys for every head."""
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
    """How many segments a batch holds: one, some, or all."""
    if request.param == "apart":
        monkeypatch.setattr(module_under_test, "CPU_SCORES", 0)
    elif request.param == "together":
        monkeypatch.setattr(module_under_test, "SPARE", 1 << 40)
        monkeypatch.setattr(module_under_test, "CPU_SCORES", 1 << 40)


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("cap", [None, 30.0])
def test_segments_equal_the_definition_with_gradients(cap: float | None) -> None:
    """Four heads that share two heads of keys."""
    torch.manual_seed(0)
    q = [torch.randn(4, length, 16, requires_grad=True) for length, _ in SEGMENTS]
    k, v = ([torch.randn(2, length, 16, requires_grad=True) for length, _ in SEGMENTS] for _ in range(2))
    expected = [plain(q, k, v, number, cap) for number in range(len(SEGMENTS))]
    segments: list[Segment] = []
    for length, parent in SEGMENTS:
        start = segments[-1].end if segments else 0
        segments.append(Segment(start, start + length, parent))
    row = (torch.cat(part, 1)[None] for part in (q, k, v))
    plan = plan_row(segments, torch.float32, CPU)
    whole, _ = segment_attention(SimpleNamespace(), *row, None, 0.25, softcap=cap, plan=plan)
    found = [whole[0, start:end] for start, end, _ in segments]
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and torch.allclose(one.double(), other, atol=1e-5)
    ours = torch.autograd.grad(sum(part.square().sum() for part in found), [*q, *k, *v])
    theirs = torch.autograd.grad(sum(part.square().sum() for part in expected), [*q, *k, *v])
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other.to(one.dtype), rtol=1e-3, atol=1e-4)


def test_the_fused_kernel_gives_the_same() -> None:
    """Three segments, four heads that share two heads of keys. GPUs and long segments use this kernel."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 5, 32), torch.randn(3, 2, 9, 16), torch.randn(3, 2, 9, 16)
    bias = torch.zeros(3, 5, 9).masked_fill(torch.ones(3, 5, 9, dtype=torch.bool).triu(5), -torch.inf)
    plain, fused = (
        module_under_test._plain(q, k, v, bias, 0.25, None),
        module_under_test._fused(q, k, v, bias, 0.25),
    )
    assert plain.shape == (3, 5, 2, 32) and torch.allclose(plain, fused, atol=1e-6)


def test_batches_waste_little_and_stay_small() -> None:
    """Padding is bounded, batches are bounded, and no segment is lost."""
    sizes = torch.randint(1, 400, (300, 2), generator=torch.Generator().manual_seed(0)).tolist()
    reaches = [module_under_test.Reach(torch.arange(t), torch.arange(t + past)) for t, past in sizes]
    batches = list(module_under_test._similar(reaches, 1 << 18))
    assert sorted(id(reach) for batch in batches for reach in batch) == sorted(map(id, reaches))
    assert 10 < len(batches) < 200
    for batch in batches:
        padded = len(batch) * max(len(r.queries) for r in batch) * max(len(r.keys) for r in batch)
        own = sum(len(r.queries) * len(r.keys) for r in batch)
        assert padded <= module_under_test.SPARE + module_under_test.WASTE * own
        assert padded <= 1 << 18 or len(batch) == 1


def test_a_model_that_drops_the_plan_is_an_error() -> None:
    """Without the plan, attention would see other texts of the row."""
    with pytest.raises(TypeError, match="does not pass the plan"):
        segment_attention(SimpleNamespace(layer_idx=0), *[torch.zeros(1, 2, 3, 4)] * 3, None, 1.0)


def test_short_padded_rows_take_plain_attention() -> None:
    """On CPUs; a GPU always takes the fused kernel."""
    assert attention(CPU, PLAIN_ATTENTION_TOKENS) == "eager"
    assert attention(CPU, PLAIN_ATTENTION_TOKENS + 1) == attention(torch.device("cuda"), 100) == "sdpa"

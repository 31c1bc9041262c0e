"""Packed linear layers give what plain ones give, and leave the model as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from acemath.models.score import linear
from acemath.models.score.linear import packed_linears, packs


class Doubled(nn.Linear):
    """A layer that is more than a product."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Twice the product."""
        return 2 * super().forward(given)


@pytest.mark.skipif(not packs(), reason="this build of torch has no oneDNN")
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_packed_layers_give_the_same(dtype: torch.dtype, error: float) -> None:
    """With and without a bias, of one token and of many; a layer of another class is left alone."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 40), nn.Linear(40, 17, bias=False), Doubled(17, 5)).to(dtype)
    for tokens in (1, 300):
        given = torch.randn(1, tokens, 24, dtype=dtype)
        with torch.inference_mode():
            expected = model(given)
            with packed_linears(model, 300):
                assert ["forward" in vars(layer) for layer in model] == [True, True, False]
                found = model(given)
        assert found.dtype == dtype and torch.allclose(found, expected, rtol=error, atol=error)
        assert not any("forward" in vars(layer) for layer in model)


def test_large_models_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """And an error within leaves the model as it was."""
    model = nn.Sequential(nn.Linear(8, 8))
    with pytest.raises(KeyError), packed_linears(model, 8):
        raise KeyError
    assert "forward" not in vars(model[0])
    monkeypatch.setattr(linear, "MOST_BYTES", 255)
    with packed_linears(model, 8):
        assert "forward" not in vars(model[0])

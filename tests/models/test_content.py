"""What tells one model from another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from acemath.models import hub


def test_content_tells_models_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are read whole, large ones in blocks of each tensor: a head that alone was trained is another model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    body, head = np.zeros((400, 256), np.float32), np.zeros((1, 256), np.float32)
    for whole in (2**28, 0):
        monkeypatch.setattr(hub, "WHOLE", whole)
        found = []
        for value in (0.0, 1.0):
            save_file({"model.body": body, "score.weight": head + value}, folder / "model.safetensors")
            found.append(hub.content_of(folder))
        assert len(set(found)) == 2
        (folder / "training.json").write_text(f'{{"bench": [{whole}]}}')
        assert hub.content_of(folder) == found[1]


def test_a_hub_models_commit_is_known_before_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a first call would store another identity than the second, which asks everything again."""
    asked: list[bool] = []

    def found(path: str, name: str, fetch: bool) -> Path:
        asked.append(fetch)
        return tmp_path / "snapshots" / "abc123" / name

    monkeypatch.setattr(hub, "model_file", found)
    assert hub.content_of("owner/model") == "abc123" and asked == [True]

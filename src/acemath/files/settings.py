"""The base class of all settings, and the YAML that they are written in."""

from __future__ import annotations

from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

MOST_SEED = 2**32 - 1  # numpy and transformers take seeds from 0 to this
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]


class Settings(BaseModel):
    """Settings that cannot be changed, and refuse unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Loader(yaml.SafeLoader):
    """YAML's own loader keeps the last of two equal keys and drops the first without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set[tuple[str, str]]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (name := (key.tag, key.value)) in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice in one group", problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(name)
        return node


def read_yaml(text: str) -> Any:
    """The value of a YAML text. yaml.YAMLError if it is not valid, or has a key twice."""
    return yaml.load(text, _Loader)  # noqa: S506 (a safe loader)

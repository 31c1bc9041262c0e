"""What a benchmark is: where its problems come from, how they are asked and graded, and what is known to be wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from acemath.grade.conventions import STRICT, Conventions

# How the reference is read beyond `grade.references.reference_in`: as it stands; without the `$` around it; with the
# record's unit after it.
Reading = Literal["plain", "dollars", "unit"]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark of the registry.

    size: its number of problems. `hub_size` is that of the data set on the hub where it differs.
    forms: the columns of its known copies, {our name: theirs}; the first form whose columns a copy has is used.
    configs: configurations of the hub's data set, read one after the other; None is the default one.
    revision: the commit that is read; None reads the newest.
    subjects: the data set's subjects that belong to the benchmark; empty for all.
    shots: demonstrations of the paper (section 3.4), from the split `shots_split` of the same data set.
    suspects: reasons by `content_key` of a prompt, for references that are known to be wrong.
    digest: a hash of the prompts and references of a known copy (`copies.digest_of`); "" if there is none.
    """

    name: str
    title: str
    size: int
    hub: str
    forms: tuple[Mapping[str, str], ...]
    license: str
    split: str = "test"
    configs: tuple[str | None, ...] = (None,)
    revision: str | None = None
    hub_size: int = 0
    reading: Reading = "plain"
    subjects: frozenset[str] = frozenset()
    shots: int = 0
    shots_split: str = ""
    conventions: Conventions = STRICT
    note: str = ""
    suspects: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of problems that a whole copy may have."""
        return (self.size, self.hub_size) if self.hub_size else (self.size,)

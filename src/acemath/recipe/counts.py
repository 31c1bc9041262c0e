"""How many prompts the sources of a recipe give, and how many conversations a blend takes from pools that overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from acemath.curate.known_sources import KNOWN, public_rows
from acemath.demo.worksheets.registry import SUBJECTS as WORKSHEETS
from acemath.recipe.roles import SUBJECTS
from acemath.recipe.schema import Recipe
from acemath.recipe.sft import SftStage
from acemath.recipe.sources import Source, size_of
from acemath.records import group_of

SEEDS, BENCHMARKS = "problems.seeds.", "problems.benchmarks."  # what a source's name follows in its key
CHECKED = 0.35  # share of math responses that pass the cross-check (paper, section 3.2: 800 K of 2.3 M)


def ready_key(stage: str | None) -> str:
    """The key of data that are ready to train on: of a stage of fine-tuning, or with None of the reward model."""
    return "reward.data" if stage is None else f"sft.stages.{stage}.data"


@dataclass(frozen=True, slots=True)
class Cell:
    """Prompts of one kind: those of a source and a group of subjects, seeds or evolved, checked or not."""

    source: str
    group: str
    evolved: bool
    checked: bool

    def in_pool(self, pool: str) -> bool:
        """Whether a built-in pool holds them."""
        name, _, narrowed = pool.partition(".")
        fits = {"": True, "checked": self.checked, "unchecked": not self.checked, "seeds": not self.evolved}
        return name == self.group and fits[narrowed]


@dataclass
class Counts:
    """Estimated prompts of a recipe. `rows` are the different prompts of sources that were counted, by their key.

    A share of the responses passes the cross-check in every cell alike; copies that the registry tells of are left out.
    """

    recipe: Recipe
    rows: Mapping[str, int] = field(default_factory=dict)
    taken: dict[str, dict[Cell, float]] = field(
        default_factory=dict
    )  # by stage of fine-tuning: the share of each cell

    def seeds(self, name: str) -> float:
        """The rows of a source; 0 if they are unknown."""
        source = self.recipe.problems.seeds[name]
        known = self.rows.get(SEEDS + name) or size_of(source)
        return known or source.share * public_rows(source.hub or "", source.split)

    def benchmark(self, name: str) -> int:
        """The problems of a benchmark; 0 if they are unknown."""
        return self.rows.get(BENCHMARKS + name) or size_of(self.recipe.problems.benchmarks[name])

    def ready(self, stage: str | None, source: Source) -> float:
        """The conversations of a stage's `data`, or with None the groups of the reward model's: a sixth of public rows (section 4.1)."""
        whole = size_of(source.model_copy(update={"count": None})) / (6 if stage is None else 1)
        return self.rows.get(ready_key(stage)) or min(source.count or whole, whole or source.count or 0)

    def evolved(self) -> float:
        """The questions that evolution writes from math seeds, copies among them too."""
        return sum(self._born(name) for name in self.recipe.problems.seeds)

    def _born(self, name: str) -> float:
        evolve = self.recipe.curate.evolve
        if evolve.sources and name not in evolve.sources:
            return 0.0
        each = evolve.share * len(evolve.methods)  # new prompts of a prompt in a round
        math = self.seeds(name) * _groups(self.recipe.problems.seeds[name])["math"]
        return math * sum(each**turn for turn in range(1, evolve.rounds + 1))

    def cells(self, without: str = "") -> dict[Cell, float]:
        """The prompts that are left after deduplication. `without` leaves out sources that are for this use alone."""
        found: dict[Cell, float] = {}
        for name, source in self.recipe.problems.seeds.items():
            if source.use == without:
                continue
            unlike = (
                KNOWN[source.known].distinct if source.known is not None and SEEDS + name not in self.rows else 1.0
            )
            kinds = [
                (group, False, self.seeds(name) * unlike * share) for group, share in _groups(source).items()
            ]
            for group, evolved, count in [*kinds, ("math", True, self._born(name))]:
                passes = CHECKED if self.recipe.roles.checkers and group == "math" else 0.0
                found[Cell(name, group, evolved, True)] = count * passes
                found[Cell(name, group, evolved, False)] = count * (1 - passes)
        return found

    def group(self, name: str, without: str = "") -> float:
        """The prompts of a group of subjects."""
        return sum(count for cell, count in self.cells(without).items() if cell.group == name)

    def blend(self, name: str) -> dict[str, float]:
        """The prompts that each pool adds to a stage of fine-tuning. A prompt is taken once (`curate.blend.Picker`)."""
        stage, cells = self.recipe.sft.stages[name], self.cells("reward")
        left = dict.fromkeys(cells, 1.0)
        added: dict[str, float] = {}
        for pool in stage.blend:
            mine = {
                cell: count * self._unused(pool, cell)
                for cell, count in cells.items()
                if self._holds(pool, cell)
            }
            share = _offered(stage, pool, sum(mine.values()))
            new = sum(share * count * left[cell] for cell, count in mine.items())
            own = self.recipe.sft.pools.get(pool)
            if own is not None and own.take is not None and new > own.take:
                share, new = share * own.take / new, float(own.take)
            added[pool] = new
            for cell in mine:
                left[cell] *= 1 - share * self._unused(pool, cell)
        self.taken[name] = {cell: 1 - rest for cell, rest in left.items()}
        return added

    def _holds(self, pool: str, cell: Cell) -> bool:
        own = self.recipe.sft.pools.get(pool)
        if own is None:
            return cell.in_pool(pool)
        born = own.born == "any" or cell.evolved == (own.born == "evolved")
        return cell.in_pool(own.of) and born and (not own.sources or cell.source in own.sources)

    def _unused(self, pool: str, cell: Cell) -> float:
        """The share of a cell that the earlier stages which the pool leaves out have not taken."""
        own, rest = self.recipe.sft.pools.get(pool), 1.0
        for stage in () if own is None else own.unused_by:
            rest *= 1 - self.taken[stage][cell]
        return rest


def _offered(stage: SftStage, pool: str, rows: float) -> float:
    """The share of its rows that a pool offers to a stage."""
    most = min(rows * stage.shares.get(pool, 1.0), stage.counts.get(pool, rows))
    return most / rows if rows else 0.0


def _groups(source: Source) -> dict[str, float]:
    """The share of a source's prompts in each group of subjects."""
    of = (
        [group_of(subject) for subject in WORKSHEETS]
        if source.worksheets is not None
        else [group_of(source.subject)]
    )
    return {group: of.count(group) / len(of) for group in SUBJECTS}

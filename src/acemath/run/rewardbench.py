"""AceMath-RewardBench as a folder of partitioned stages: the release's problems and candidates, and each judge's scores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from acemath.benchmarks.release import Entry, Unread, entries, files_of, sets_of, size_of
from acemath.benchmarks.tables import BENCHMARK
from acemath.errors import UserError
from acemath.grade import classes
from acemath.models.score.judge import JudgeSettings, judge_identity
from acemath.records import Dropped, Problem, Response
from acemath.run.partitions import Partitions, Space, open_run
from acemath.run.scatter import scattered, scattered_responses
from acemath.run.score_cache import cached_judge, score_words
from acemath.run.source_rows import files_key
from acemath.run.stage import Everything, Facts, MapStage, Part, Reduction, Stage

PROBLEMS, CANDIDATES, VOTES, SCORES = "problems", "candidates", "votes", "scores-"
CLASS, LENGTH = "class", "length"  # in the meta of a row of VOTES: the class of equal answers, the length in characters
SPACE: Space = "benchmarks"


@dataclass(frozen=True)
class Bench:
    """A release that is to be scored. `columns` maps our names to its columns."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    def read(self, unread: Mapping[str, Unread] | None = None) -> Iterator[Entry]:
        """The problems of all sets with their candidates; `unread` gets what was not understood, by set."""
        for name, records in sets_of(self.path).items():
            yield from entries(name, records(), Unread() if unread is None else unread[name], self.columns)

    def settings(self) -> dict[str, Any]:
        """The content of the files, and the columns: what the rows depend on."""
        top = self.path if self.path.is_dir() else self.path.parent
        return {
            "files": {str(file.relative_to(top)): files_key(file) for file in files_of(self.path)},
            "columns": dict(self.columns),
        }

    def open(self, folder: Path) -> None:
        """Make the run's folder, with about as many responses in a partition as a run has problems in one."""
        open_run(folder, lambda: {"training": 1, SPACE: size_of(self.path, self.columns)})


@dataclass(frozen=True)
class Candidate:
    """A judge of a call: its short name, which names its stage, and its settings."""

    name: str
    settings: JudgeSettings

    @property
    def stage(self) -> str:
        """The stage of its scores."""
        return SCORES + self.name

    @property
    def model(self) -> str:
        """The model's folder or hub name."""
        place: Any = getattr(self.settings, "endpoint", None)
        return str(self.settings.model if place is None else place.id)  # type: ignore[union-attr]


def bench_stages(bench: Bench, folder: Path, judges: Sequence[Candidate], cache: Path) -> list[Stage]:
    """The stages of scoring a release with some judges."""
    settings = bench.settings()
    return [
        _problems(bench, settings), _candidates(bench, settings), _votes(),
        *(_scores(judge, folder, cache) for judge in judges),
    ]  # fmt: skip


def _problems(bench: Bench, settings: Mapping[str, Any]) -> Reduction:
    """The problems. Rows of the release that cannot be measured are dropped, with the reason."""

    def work(everything: Everything) -> None:
        unread = {name: Unread() for name in sets_of(bench.path)}
        split = Partitions(everything.count)
        problems = (entry.problem for entry in bench.read(unread))
        for number, rows in scattered(problems, split, everything.folder):
            dropped = [
                row for found in unread.values() for row in found.dropped if split.partition_of(row.id) == number
            ]
            everything.part(number).write(rows, Problem, dropped, _facts(rows, dropped, {} if number else unread))
            everything.progress(number + 1, everything.count)

    return Reduction(PROBLEMS, settings, (), work=work, summary=_problem_words, space=SPACE)


def _facts(rows: Sequence[Problem], dropped: Sequence[Dropped], unread: Mapping[str, Unread]) -> dict[str, Any]:
    reasons = {name: dict(Counter(d.reason for d in dropped if d.source == name)) for name in {d.source for d in dropped}}
    return {
        "problems": dict(Counter(row.source for row in rows)),
        "left out": reasons,
        "ignored": {name: found.ignored for name, found in unread.items() if found.ignored},
    }


def _problem_words(facts: Facts) -> str:
    sets = ", ".join(f"{name} {count:,}" for name, count in sorted(facts["problems"].items()))
    return f"{sum(facts['problems'].values()):,} problems ({sets})"


def _candidates(bench: Bench, settings: Mapping[str, Any]) -> Reduction:
    """The responses with the release's verdicts and answers."""

    def work(everything: Everything) -> None:
        rows = (row for entry in bench.read() for row in responses_of(entry))
        for number, found in scattered_responses(rows, Partitions(everything.count), everything.folder):
            everything.part(number).write(found, Response, facts=_counts(found))
            everything.progress(number + 1, everything.count)

    return Reduction(CANDIDATES, settings, (), work=work, summary=_candidate_words, space=SPACE)


def responses_of(entry: Entry) -> Iterator[Response]:
    """The candidates of a problem as responses, with their rewards if the release has some."""
    name = entry.problem.source
    for sample, (text, answer, right, reward, model) in enumerate(
        zip(entry.texts, entry.answers, entry.correct, entry.rewards, entry.models, strict=True)
    ):
        yield Response(
            entry.problem.id,
            sample,
            text,
            model,
            status="correct" if right else "wrong" if answer is not None else "no_answer",
            extracted=answer,
            reward=reward,
            meta={BENCHMARK: name},
        )


def _counts(rows: Sequence[Response]) -> dict[str, Any]:
    sizes: dict[str, Counter[str]] = {}
    for _, group in groupby(rows, key=lambda row: row.problem_id):
        mine = list(group)
        sizes.setdefault(mine[0].meta[BENCHMARK], Counter())[str(len(mine))] += 1
    return {
        "responses": len(rows),
        "correct": sum(row.correct for row in rows),
        "sizes": {name: dict(found) for name, found in sizes.items()},
    }


def _candidate_words(facts: Facts) -> str:
    return f"{facts['responses']:,} responses, {100 * facts['correct'] / max(1, facts['responses']):.1f} % right"


def _votes() -> MapStage:
    """What a table needs of each response beside its score: verdict, class of equal answers, length; without the texts."""

    def work(part: Part) -> None:
        rows = part.rows(CANDIDATES, Response)
        part.write(_voting(rows), Response, facts={"responses": len(rows)})

    def summary(facts: Facts) -> str:
        return f"equal answers of {facts['responses']:,} responses"

    return MapStage(VOTES, {}, (CANDIDATES,), work=work, summary=summary, space=SPACE, spread=True)


def _voting(rows: Iterable[Response]) -> Iterator[Response]:
    for _, group in groupby(rows, key=lambda row: row.problem_id):
        mine = list(group)
        for row, number in zip(mine, classes([r.extracted for r in mine]), strict=True):
            yield replace(row, text="", extracted=None, meta={**row.meta, CLASS: number, LENGTH: len(row.text)})


def _scores(judge: Candidate, folder: Path, cache: Path) -> MapStage:
    """A judge's score of every candidate."""
    return MapStage(
        judge.stage,
        {"judge": judge_identity(judge.settings)},
        (PROBLEMS, CANDIDATES),
        work=_score,
        tool=partial(cached_judge, judge.settings, folder / f"{judge.stage}.journal", cache),
        summary=score_words,
        space=SPACE,
    )


def _score(part: Part) -> None:
    prompts = {row.id: row.prompt for row in part.rows(PROBLEMS, Problem)}
    scored, facts = part.tool.scored(prompts, part.rows(CANDIDATES, Response), part.progress)
    part.write(scored, Response, facts=facts)


def judges_named(judges: Sequence[tuple[str, JudgeSettings]]) -> list[Candidate]:
    """Judges with short names: what the user calls them, or else the last parts of their models' places.

    UserError for a name that no folder can have, and if two have one name.
    """
    wrong = next((name for name, _ in judges if name and not re.fullmatch(r"[\w.+-]+", name)), None)
    if wrong is not None:
        raise UserError(f"a judge cannot be called {wrong!r}; use letters, digits and . + - _")
    found = [Candidate(name or short_name(Candidate("", settings).model), settings) for name, settings in judges]
    twice = [name for name, count in Counter(judge.name for judge in found).items() if count > 1]
    if twice:
        raise UserError(f"two judges are called {twice[0]!r}; name them: NAME=JUDGE")
    return found


def short_name(model: str) -> str:
    """A name for a stage and a table: the last part of a model's place, or the last two for the `model` of a run's stage."""
    parts = [part for part in re.split(r"[/\\]+", model.rstrip("/\\")) if part not in ("", ".", "..")]
    last = parts[-2:] if parts[-1:] == ["model"] else parts[-1:]
    return re.sub(r"[^\w.-]+", "-", "-".join(last))

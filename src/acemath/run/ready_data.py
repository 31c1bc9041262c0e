"""Data that are ready to train on: conversations for a stage of fine-tuning, groups of labelled responses for the reward model.

They take the place of teachers and candidates, as in `acemath-7b-released`. Rows are read, divided into partitions and
screened against the benchmarks (paper, section 3.2.3). Nothing else is dropped but rows of another form, which a data set
of millions may hold, and groups that are all right or all wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from acemath.curate.blend import blend_facts, shuffled
from acemath.curate.columns import groups_or_faults
from acemath.curate.decontaminate.scan import reported_of, scan, sorted_out
from acemath.curate.licences import non_commercial
from acemath.errors import UserError
from acemath.files.conversations import chat_of
from acemath.files.identity import qualified
from acemath.recipe.sources import Source
from acemath.records import Chat, Dropped, Group, Problem, content_key
from acemath.run.context import Run
from acemath.run.curation import indexed, instructions_of, wrappers_in
from acemath.run.partitions import Partitions
from acemath.run.problems import BENCHMARKS
from acemath.run.scatter import scattered_by_problem
from acemath.run.source_rows import files_key, local_path, records_of
from acemath.run.stage import Everything, Facts, MapStage, Part, Reduction, Stage, whole
from acemath.run.steps import step_facts

Ready = Chat | Group
MALFORMED = "malformed"


@dataclass(frozen=True)
class _Form:
    """What differs between conversations and groups: the row, its columns and text for the screen, its licence."""

    kind: type[Any]
    columns: tuple[str, ...]
    read: Callable[[str, Source], Iterator[Ready | Dropped]]
    asked: Callable[[Mapping[str, Any]], str]
    license: Callable[[Any], str]


def ready_blend(run: Run, name: str, source: Source) -> list[Stage]:
    """The stages that make the training set of a fine-tuning stage from conversations that exist already."""
    form = _Form(
        Chat, ("messages",), _chats, lambda row: _user_turns(row["messages"]), lambda row: str(row.license)
    )
    read, wrappers, named = f"read-{name}", f"instructions-{name}", source.known or name

    def finish(rows: list[Any]) -> tuple[list[Chat], list[Dropped], Facts]:
        chats = shuffled(rows, run.recipe.seed)
        return chats, [], blend_facts(chats)

    def summary(facts: Facts) -> str:
        return f"{facts['conversations']:,} conversations{_dropped_words(facts)}"

    screened = _screened(run, f"blend-{name}", read, wrappers, named, source, form, finish, summary)
    return [_reading(run, read, named, source, form), _wrappers(wrappers, read, named, form), screened]


def ready_groups(run: Run, source: Source) -> list[Stage]:
    """The stages that make groups from labelled responses that exist already."""
    form = _Form(
        Group, ("prompt",), _groups, lambda row: str(row["prompt"]), lambda row: str(row.meta["license"])
    )

    def finish(rows: list[Any]) -> tuple[list[Group], list[Dropped], Facts]:
        mixed = [row for row in rows if len(set(row.labels)) == 2]
        left_out = [
            Dropped(
                row.problem_id,
                "groups",
                "all right" if any(row.labels) else "all wrong",
                row.prompt,
                str(row.meta["source"]),
            )
            for row in rows
            if len(set(row.labels)) < 2
        ]
        return mixed, left_out, _group_facts(mixed)

    def summary(facts: Facts) -> str:
        return f"{facts['groups']:,} groups of {facts['responses']:,} responses{_dropped_words(facts)}"

    read, wrappers, named = "reward-read", "reward-instructions", source.known or "reward"
    screened = _screened(run, "groups", read, wrappers, named, source, form, finish, summary)
    return [_reading(run, read, named, source, form), _wrappers(wrappers, read, named, form), screened]


def _chats(name: str, source: Source) -> Iterator[Chat | Dropped]:
    """A source's conversations. Those of another form are dropped rows, but the first of all is an error."""
    for number, (place, record) in enumerate(records_of(name, source)):
        try:
            chat = chat_of(record, place, name, source.license)
        except UserError as error:
            if not number:
                raise
            yield _malformed(name, error)
            continue
        yield replace(chat, problem_id=qualified(name, chat.problem_id), meta={**chat.meta, "pool": name})


def _groups(name: str, source: Source) -> Iterator[Group | Dropped]:
    """A source's groups, as `_chats`."""
    records = (record for _, record in records_of(name, source))
    for number, found in enumerate(groups_or_faults(records, f"source {name!r}")):
        if isinstance(found, UserError):
            if not number:
                raise found
            yield _malformed(name, found)
            continue
        meta = {**found.meta, "source": name, "license": source.license, "style": "any"}
        yield replace(found, problem_id=qualified(name, found.problem_id), meta=meta)


def _group_facts(groups: Sequence[Group]) -> Facts:
    return {
        "groups": len(groups),
        "responses": sum(len(group.labels) for group in groups),
        "right": sum(sum(group.labels) for group in groups),
        "licences": dict(Counter(str(group.meta["license"]) or "unknown" for group in groups)),
    }


def _malformed(name: str, error: UserError) -> Dropped:
    return Dropped(content_key(str(error)), "read", MALFORMED, str(error), name)


def _user_turns(messages: Iterable[Mapping[str, str]]) -> str:
    return "\n\n".join(turn["content"] for turn in messages if turn["role"] == "user")


def _in_part(text: str, source: Source) -> bool:
    """Whether the source's `part` takes a row with this text."""
    low, high = (round(edge * 2**64) for edge in source.part)
    return low <= int(content_key("part", text), 16) < high


def _reading(run: Run, stage: str, named: str, source: Source, form: _Form) -> Reduction:
    """The rows of a source, divided into partitions. `source.count` counts conversations or groups."""

    def work(all: Everything) -> None:
        dropped: list[Dropped] = []
        counts, systems = Counter[str](), Counter[str]()

        def rows() -> Iterator[Any]:
            for row in form.read(named, source):
                if isinstance(row, Dropped):
                    dropped.append(row)
                elif _in_part(_text(row, form), source):
                    counts[form.license(row) or "unknown"] += 1
                    systems[str(row.meta.get("system") or "")] += isinstance(row, Group)
                    yield row
                    if counts.total() == source.count:
                        return

        for number, mine in scattered_by_problem(rows(), form.kind, Partitions(all.count), all.folder):
            lost = dropped if number == 0 else ()
            sources = [named] * len(mine)
            facts = {
                "rows": len(mine),
                "malformed": len(lost),
                **step_facts(f"{stage}: rows", sources, list(lost)),
            }
            all.part(number).write(mine, form.kind, lost, facts)
            all.progress(number + 1, all.count)
        if not counts:
            raise UserError(f"the data {named} have no row; correct the file, the split or the part")
        _warn(run, named, counts, systems)

    def summary(facts: Facts) -> str:
        lost = f"; {facts['malformed']:,} of another form left out" if facts["malformed"] else ""
        return f"{facts['rows']:,} {'conversations' if form.kind is Chat else 'groups'}{lost}"

    path = local_path(source)
    settings = {"source": source.model_dump(mode="json"), "files": None if path is None else files_key(path)}
    return Reduction(stage, settings, (), work=work, summary=summary)


def _text(row: Ready, form: _Form) -> str:
    return form.asked({name: getattr(row, name) for name in form.columns})


def _warn(run: Run, name: str, licences: Mapping[str, int], systems: Mapping[str, int]) -> None:
    """Warn of licences that forbid commercial use, and of groups made in another chat than they are trained in."""
    for one in non_commercial(licences):
        run.display.warn(
            f"{licences[one]:,} rows of {name} have the licence {one}: models that are trained on them may not be used commercially"
        )
    chosen = run.recipe.reward.chat.system
    for system, count in systems.items():
        if count and system != chosen:
            run.display.warn(
                f"{count:,} groups of {name} have the system prompt {system[:80]!r}; training uses {chosen[:80]!r} instead"
            )


def _wrappers(stage: str, read: str, named: str, form: _Form) -> Reduction:
    """The instructions that surround all prompts of the source."""

    def pairs(all: Everything) -> Iterator[tuple[str, str]]:
        for batch in all.batches(read, form.columns):
            yield from ((named, form.asked(row)) for row in batch.to_pylist())

    return instructions_of(stage, read, pairs)


def _screened(
    run: Run,
    stage: str,
    read: str,
    wrappers: str,
    named: str,
    source: Source,
    form: _Form,
    finish: Callable[[list[Any]], tuple[Sequence[Any], list[Dropped], Facts]],
    summary: Callable[[Facts], str],
) -> MapStage:
    """The rows whose prompts leak no benchmark problem, and of these the ones that `finish` keeps, with its facts."""
    rule = run.recipe.curate.decontaminate
    index = indexed(rule)

    def work(part: Part) -> None:
        rows = part.rows(read, form.kind)
        asked = [
            Problem(str(at), _text(row, form), "", named, "", source.subject) for at, row in enumerate(rows)
        ]
        hits = scan(asked, index(part.store(BENCHMARKS)), wrappers=wrappers_in(part.store(wrappers)))
        clean, leaks = sorted_out(asked, hits, rule)
        kept, others, facts = finish([rows[int(problem.id)] for problem in clean])
        dropped = [*(replace(row, id=rows[int(row.id)].problem_id) for row in leaks), *others]
        steps = step_facts(f"{stage}: screened", [named] * len(kept), dropped, reported_of(hits, rule))
        part.write(kept, form.kind, dropped, {**facts, "dropped": len(dropped), **steps})

    settings = {"decontaminate": rule.model_dump(), "subject": source.subject, "seed": run.recipe.seed}
    inputs = (read, whole(wrappers), whole(BENCHMARKS))
    return MapStage(stage, settings, inputs, work=work, summary=summary, spread=True)


def _dropped_words(facts: Facts) -> str:
    return f"; {facts['dropped']:,} dropped" if facts["dropped"] else ""

"""`python -m acemath.run.rehearsal.process FOLDER`: makes the run of a rehearsal in a process that may be killed."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from acemath.errors import UserError
from acemath.files.atomic import read_json
from acemath.models.engine import Engine, Sampling, close
from acemath.models.spec import TransformersModel, VllmModel
from acemath.recipe.load import load_recipe
from acemath.recipe.roles import Role
from acemath.records import REFUSED, Problem, Response
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.launch import CHILD, MISTAKE, follow_parent
from acemath.run.rehearsal.script import Script
from acemath.run.run import run_recipe
from acemath.run.stage import Stage
from acemath.run.stages import RECIPE, stages_until

KNOWN = "known.json"  # beside the run's folder: answers to prompts that are not ours
TOKENS = 4  # that a model really writes of a response, before the script's words replace them
SKILLS = {"teacher": 0.9, "checker": 0.9, "labels": 0.9, "votes": 0.9}  # of the first word of a stage's name
SKILL = 0.55  # of candidates and policies
_freeze = gc.freeze


class Scripted:
    """A model whose forward pass runs on every prompt, and whose words are those of the script."""

    def __init__(self, engine: Any, script: Script, skill: float) -> None:
        self.engine, self.script, self.skill, self.name = engine, script, skill, engine.name

    def close(self) -> None:
        """Free the model."""
        close(self.engine)

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """As the model would yield them. A prompt that the model refuses stays refused."""
        asked = {problem.id: problem for problem in problems}
        short = sampling.model_copy(update={"max_new_tokens": min(TOKENS, sampling.max_new_tokens)})
        for response in self.engine.generate(problems, short):
            if response.finish_reason == REFUSED:
                yield response
                continue
            # Greedy responses to a problem are equal.
            sample = 0 if sampling.temperature == 0 else response.sample
            problem = asked[response.problem_id]
            line = self.script.line(problem.prompt, self.name, sample, sampling.seed, self.skill, problem.answer)
            tokens = len(self.engine.tokenizer(line.text, add_special_tokens=False)["input_ids"])
            yield replace(response, text=line.text, finish_reason=line.finish_reason, tokens=tokens)


@dataclass
class RehearsedRun(Run):
    """A run in which local models speak by a script."""

    jobs: ClassVar[str] = "acemath.run.rehearsal.process:stages_of"

    @cached_property
    def script(self) -> Script:
        """The script, with the answers to prompts that are not ours."""
        return Script(read_json(self.folder.parent / KNOWN))

    def engine(self, role: Role, name: str, stage: str) -> Engine:
        """The engine of a role; of a model in this process with the script's words."""
        gc.collect()  # frees the previous engine
        _freeze()  # keeps later collections from walking over what is left, mostly modules
        found = super().engine(role, name, stage)
        if not isinstance(self.recipe.model(role.model), TransformersModel | VllmModel):
            return found
        return Scripted(found, self.script, SKILLS.get(stage.split("-")[0], SKILL))


def stages_of(folder: Path) -> Sequence[Stage]:
    """The stages of a rehearsal's folder, for a job in a process of its own."""
    return stages_until(RehearsedRun(load_recipe(folder / RECIPE), folder, Display(quiet=True)), "tables")


def _short_collections() -> None:
    """Keep vLLM from calling `gc.freeze` and `gc.unfreeze`.

    An engine in this process collects garbage nine times from its start to its end. Over all that vLLM imports each takes
    nearly a second, most of the time of a stage. So `RehearsedRun.engine` freezes what is there before an engine starts. An
    engine that froze itself would never give its memory back.
    """
    vars(gc).update(freeze=_nothing, unfreeze=_nothing)


def _nothing() -> None:
    """Do nothing."""


def main() -> int:
    """Make the run. The exit code is 2 after a user's mistake, which is printed in one line."""
    folder = Path(sys.argv[1])
    _short_collections()
    if CHILD in os.environ:
        follow_parent()
    try:
        run_recipe(load_recipe(folder.parent / RECIPE), folder, Display(), RehearsedRun)
    except UserError as error:
        print(f"{MISTAKE if CHILD in os.environ else ''}{error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

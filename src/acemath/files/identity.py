"""Which row is which: ids of problems, and the join of responses with the problems that they answer.

An id is qualified by its source, "gsm8k:17", so that two files which both number their rows from 0 stay apart. After
the colon comes the user's own id, or a key of the prompt if the file has no ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from acemath.errors import UserError
from acemath.files.columns import id_text
from acemath.records import Problem, Response, content_key

PROMPT_KEY = "prompt_key"  # in a response's meta: the key of the prompt that was answered
FILE_ROW = "file_row"  # in the meta of a problem without an id: its row number in the file, from 0
SHOWN = 60  # characters of a prompt in messages


def qualified(source: str, own: str) -> str:
    """An id with its source before it; one that has it already stays as it is."""
    return own if not source or own.startswith(f"{source}:") else f"{source}:{own}"


def own_id(problem: Problem) -> str:
    """The id without its source: the user's own id, or a key of the prompt if the file has no ids."""
    return problem.id.removeprefix(f"{problem.source}:")


def shown(text: str) -> str:
    """The beginning of a prompt, for messages."""
    line = " ".join(text.split())
    return repr(line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")


class Places:
    """Where each id was first seen. Refuses a second problem under an id that is taken.

    Millions of rows pass through here, so of each problem only a digest and the beginning of its prompt are kept.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str, bytes]] = {}  # place, beginning of the prompt, digest
        self._copies: dict[str, int] = {}

    def admit(self, problem: Problem, place: str, has_id: bool) -> Problem | None:
        """The problem under its final id; None if the same row was read before under the same id.

        Rows without ids that have the same prompt are distinguished by a number. UserError naming both places if two
        different problems have one id.
        """
        if problem.id not in self._first:
            self._first[problem.id] = place, shown(problem.prompt), _digest(problem)
            return problem
        before, prompt, digest = self._first[problem.id]
        if not has_id:
            copies = self._copies[problem.id] = self._copies.get(problem.id, 1) + 1
            return self.admit(replace(problem, id=f"{problem.id}#{copies}"), place, True)
        if digest == _digest(problem):
            return None
        raise UserError(
            f"{place}: id {own_id(problem)!r} is taken by another problem ({before}: {prompt}, here "
            f"{shown(problem.prompt)}); give each problem an id of its own, or a `source` column to tell the data sets apart"
        )


class Samples:
    """The numbered responses of a file that were read: each counts once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, ...], int] = {}  # a hash of what each says

    def admit(self, place: object, of: tuple[str, str, Any], says: tuple[Any, ...], *apart: str) -> bool:
        """False if the row was read before. UserError if another one was read under its problem, model and number (`of`).

        `says` is its text, verdict and reward, `apart` what else tells problems of one id apart, as a key of the prompt.
        """
        problem, model, sample = of
        key, content = (problem, model, id_text(sample), *apart), hash(repr(says))
        if key not in self._read:
            self._read[key] = content
            return True
        if self._read[key] != content:
            raise UserError(
                f"{place}: sample {sample} of problem {problem!r} by {model or 'an unnamed model'!r} has two texts, verdicts or rewards "
                f"(the second text: {shown(str(says[0]))}); give the samples of joined files numbers of their own"
            )
        return False


def contradictions(problems: Iterable[Problem]) -> str:
    """A line about problems of one text that have different reference answers, under ids of their own; empty if there are none."""
    pairs = _repeated(problem for problem in problems if problem.answer)
    differing = [(one, two) for one, two in pairs if one.answer != two.answer]
    if not differing:
        return ""
    one, two = differing[0]
    return (
        f"{len(differing):,} problems have the text of another one and a different reference answer ({one.id}: "
        f"{one.answer[:40]!r}, {two.id}: {two.answer[:40]!r})"
    )


def repetitions(problems: Iterable[Problem]) -> str:
    """A line about problems that have the text and the reference answer of another one, as rows of responses do; empty if there are none."""
    same = [(one, two) for one, two in _repeated(problems) if one is not two and one.answer == two.answer]
    return f"{len(same):,} problems repeat the text and the reference answer of another one, and count too (the first: {same[0][1].id})" if same else ""


def _repeated(problems: Iterable[Problem]) -> list[tuple[Problem, Problem]]:
    """Each problem behind the first one of its text."""
    first: dict[str, Problem] = {}
    return [(first.setdefault(" ".join(row.prompt.lower().split()), row), row) for row in problems]


def _digest(problem: Problem) -> bytes:
    """16 bytes that stand for a problem's prompt and answer."""
    text = f"{len(problem.prompt)}:{problem.prompt}{problem.answer}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def joined(
    responses: Sequence[Response], problems: Sequence[Problem], responses_in: object, problems_in: object
) -> list[Response]:
    """The responses with the full id of the problem that each answers.

    See `Names.find` for how a response may name its problem. `responses_in` and `problems_in` are files, for messages.
    """
    names = Names(problems, problems_in)
    rows = []
    for response in responses:
        problem = names.find(response.problem_id, response.meta, responses_in)
        rows.append(response if response.problem_id == problem.id else replace(response, problem_id=problem.id))
    return rows


class Names:
    """The problems of `file`, by every name that a response may use for them."""

    def __init__(self, problems: Sequence[Problem], file: object) -> None:
        self.file = file
        self._named: dict[str, dict[str, Problem]] = {}  # by name, then by id
        for problem in problems:
            row = [str(problem.meta[FILE_ROW])] if FILE_ROW in problem.meta else []
            for name in (problem.id, own_id(problem), *row):
                self._named.setdefault(name, {})[problem.id] = problem

    def find(self, name: str, meta: Mapping[str, Any], responses_in: object) -> Problem:
        """The problem with this name that a response with this meta answers.

        A name is the full id, the user's own id or, for a problem without an id, the number of its row from 0. If
        several problems share it, the response answers the one whose prompt key is in its meta. UserError if no problem
        has the name, if several match, or if the response was written for another prompt.
        """
        found = list(self._named.get(name, {}).values())
        if not found:
            some = ", ".join(repr(row.id) for row in islice(self._problems(), 3)) or "none"
            raise UserError(
                f"{responses_in} answers problem {name!r}, which is not in {self.file} (its ids: {some} …); "
                "give the file of its problems"
            )
        key = meta.get(PROMPT_KEY)
        mine = [row for row in found if key in (None, content_key(row.prompt))]
        if not mine:
            raise UserError(
                f"{responses_in}: the response to {name!r} was written for another prompt than the one in {self.file} "
                f"({shown(found[0].prompt)}); give the file of problems that it answers"
            )
        if len(mine) > 1:
            raise UserError(
                f"{responses_in}: problem {name!r} is {len(mine)} problems of {self.file} "
                f"({', '.join(p.id for p in mine[:3])}); name it with its source before it"
            )
        return mine[0]

    def _problems(self) -> Iterator[Problem]:
        return (row for name, rows in self._named.items() for row in rows.values() if row.id == name)


def with_prompt_keys(responses: Iterable[Response], problems: Sequence[Problem]) -> list[Response]:
    """Responses with the key of their prompt in meta, so that a later join with another prompt is refused."""
    keys = {problem.id: content_key(problem.prompt) for problem in problems}
    return [replace(r, meta={**r.meta, PROMPT_KEY: keys[r.problem_id]}) for r in responses]

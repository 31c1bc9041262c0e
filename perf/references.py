r"""An endpoint that knows the references: does the grader, by the path of an evaluation, see that it is right, and wrong?

    python perf/references.py ../shared/data [--benchmarks paper,aime24] [--misses misses.jsonl] [--in-process]

For each benchmark of the registry, a server on 127.0.0.1 answers every problem twice. "right" states the reference in a
sentence, in an equal but different form where there is one: a fraction as a decimal, a decimal as a fraction, a list or set
in another order, a choice with its text. "wrong" states the next letter, or the reference plus one. It prints the shares
that are graded right (at least 99.5 % and 0 % are wanted), and how many references have a different form. --misses writes
each answer that is not graded as it should be. --in-process leaves out the server. Exit code 1 if a share is not met.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from acemath.benchmarks.copies import local_copy
from acemath.benchmarks.registry import BENCHMARKS, names, open_benchmark
from acemath.cli.engines import engine_of, model_of, write
from acemath.grade.batch import grade_many
from acemath.models.engine import ChatFormat, Sampling
from acemath.records import Problem

NUMBER = re.compile(r"(?<![_\d.])(?<!_\{)-?(?:\d+(?:\.\d+)?|\.\d+)")  # not an index
LETTER = re.compile(r"\(?\\text\{\(?([A-J])\)?\}\)?")
COMMANDS = re.compile(r"\\(?:begin|end|text|operatorname)\b|\\[a-zA-Z]+|\{array\}")
WORDS = re.compile(r"[A-Za-z]{2,}")
PROSE = 3  # words that make a reference prose
CONSTANT = re.compile(r"(?<![A-Za-z\\])[cC](?![A-Za-z])")  # a free constant
FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d+)\}\{(\d+)\}|(-?)(\d+)/(\d+)")
RIGHT, WRONG = 99.5, 0.0  # percent


def another_form(problem: Problem) -> str:
    """An answer that is equal to the reference but looks different; the reference itself where no rule gives one."""
    answer = problem.answer.rstrip(" .")
    if choices := choices_of(problem):
        return f"({answer}) {choices[answer]}"
    if NUMBER.fullmatch(answer):
        value = Fraction(answer)
        return f"\\frac{{{value.numerator}}}{{{value.denominator}}}" if "." in answer else f"{answer}.0"
    if found := FRACTION.fullmatch(answer):
        return decimal(found) or answer
    inner = re.fullmatch(r"\\\{(.*)\\\}", answer)
    if inner and not re.search(r"\\?mid|[|:]|dots|[.]{3}", answer) and len(parts(inner[1])) > 1:
        return f"\\{{{', '.join(reversed(parts(inner[1])))}\\}}"
    if len(parts(answer)) > 1 and not re.search(r"[A-Za-z]{3}|dots|\$|[.]{3}", re.sub(r"\\[a-zA-Z]+", "", answer)):
        return ", ".join(reversed(parts(answer)))
    return answer


def decimal(found: re.Match[str]) -> str | None:
    """A fraction as a finite decimal; None where it has none of at most six places."""
    sign, top, bottom = (found[1], found[2], found[3]) if found[2] else (found[4], found[5], found[6])
    value = Fraction(int(top), int(bottom)) * (-1 if sign else 1)
    scaled = value * 10**6
    return None if scaled.denominator != 1 else f"{float(value):.6f}".rstrip("0").rstrip(".")


def parts(text: str) -> list[str]:
    r"""What stands between the commas of a text that are in no bracket; [] where a comma is of a number or a space (`\,`)."""
    if re.search(r"\d,\s?(?:\\!)?\s?\d{3}(?!\d)|\\,|\\(?:neq|geq|leq)|[<>]", text):
        return []
    found, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [part.strip() for part in found] if all(part.strip() for part in found) else []


def choices_of(problem: Problem) -> dict[str, str]:
    """The choices that a prompt of the registry lists, by letter; {} for a problem without choices."""
    _, sign, listed = problem.prompt.rpartition("\nAnswer Choices: ")
    return dict(re.findall(r"\(([A-J])\) (.*?)(?= \([B-J]\) |\Z)", listed, re.DOTALL)) if sign else {}


def another_answer(problem: Problem) -> str:
    r"""A wrong answer: the next letter with its text, or the value that the reference ends in, with a number raised by one.

    Where no number stands in that value, it gets `+ 1`, or `x^9 +` if a free constant would absorb that. "" for prose.
    """
    answer = problem.answer
    if choices := choices_of(problem):
        letters = sorted(choices)
        letter = letters[(letters.index(answer) + 1) % len(letters)]
        return f"({letter}) {choices[letter]}"
    if found := LETTER.fullmatch(answer):
        return answer.replace(found[1], chr(ord(found[1]) + 1))
    if len(WORDS.findall(COMMANDS.sub(" ", answer))) >= PROSE:
        return ""
    value = re.split(r"=|\\approx", answer.rstrip(" $."))[-1].strip()
    numbers = list(NUMBER.finditer(value))
    if not numbers:
        return f"x^{{9}} + {value}" if CONSTANT.search(value) else f"{value} + 1"
    raised = numbers[-1 if CONSTANT.search(value) else 0]
    places = len(raised[0].partition(".")[2])
    return f"{value[: raised.start()]}{float(raised[0]) + 1:.{places}f}{value[raised.end() :]}"


def wrong_answers(problems: Sequence[Problem]) -> list[str]:
    """A wrong answer to each problem; where the reference is prose, the one to the next problem whose reference is not."""
    found = [another_answer(problem) for problem in problems]
    plain = [answer for answer in found if answer]
    for at, answer in enumerate(found):
        found[at] = answer or next(filter(None, found[at + 1 :]), plain[0])
    return found


def sentence(answer: str) -> str:
    """A response that ends in an answer: a choice with its text as it stands, anything else in a box."""
    if re.match(r"\([A-J]\) ", answer):
        return f"I compared the choices one by one. The right choice is {answer}"
    return f"I worked this out step by step, so the final answer is \\boxed{{{answer}}}."


@contextmanager
def served(texts: Mapping[str, str]) -> Iterator[str]:
    """The address of a chat server that answers each prompt with its text."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a body is a write of its own, which would wait 40 ms for the client

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = texts[asked["messages"][-1]["content"]]
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            body = json.dumps({"choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def responses(problems: Sequence[Problem], answers: Sequence[str], in_process: bool) -> list[str]:
    """The text of the response to each problem: over HTTP, or as the server would give it."""
    texts = [sentence(answer) for answer in answers]
    if in_process:
        return texts
    by_prompt = {problem.prompt: text for problem, text in zip(problems, texts, strict=True)}
    with tempfile.TemporaryDirectory() as journal, served(by_prompt) as url:
        model = model_of("endpoint", "knows", None, url=url)
        with engine_of(model, ChatFormat(), Path(journal)) as engine:
            found = {r.problem_id: r.text for r in write(engine, problems, Sampling(), "asked")}
    return [found[problem.id] for problem in problems]


def measured(name: str, problems: Sequence[Problem], in_process: bool) -> tuple[list[float], list[dict[str, Any]]]:
    """The percent of "right" and of "wrong" responses that are graded correct, and those that are not graded as they should be."""
    shares, misses = [], []
    for wanted, answers in ((True, [another_form(p) for p in problems]), (False, wrong_answers(problems))):
        texts = responses(problems, answers, in_process)
        verdicts = grade_many(
            [(text, p.answer) for text, p in zip(texts, problems, strict=True)], BENCHMARKS[name].conventions
        )
        shares.append(100 * sum(v.correct for v in verdicts) / len(problems))
        misses += [
            {"benchmark": name, "id": p.id, "reference": p.answer, "stated": answer, "wanted": wanted, "extracted": v.answer,
             "status": v.status, "reason": v.reason}
            for p, answer, v in zip(problems, answers, verdicts, strict=True)
            if v.correct != wanted
        ]  # fmt: skip
    return shares, misses


def main() -> None:
    """Measure each benchmark that has a local copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of benchmark files")
    parser.add_argument("--benchmarks", help="names with commas; by default all that the folder holds")
    parser.add_argument("--misses", type=Path)
    parser.add_argument("--in-process", action="store_true")
    chosen = parser.parse_args()
    asked = names(chosen.benchmarks) if chosen.benchmarks else [n for n in BENCHMARKS if local_copy(n, chosen.data)]
    met, misses = True, []
    print("benchmark        problems  other form   right %   wrong %  seconds")
    for name in asked:
        started = time.monotonic()
        problems = [p for p in open_benchmark(name, data=chosen.data) if p.answer]
        (right, wrong), found = measured(name, problems, chosen.in_process)
        misses += found
        met &= right >= RIGHT and wrong <= WRONG
        other = sum(another_form(p) != p.answer for p in problems)
        seconds = time.monotonic() - started
        print(f"{name:<16} {len(problems):>8,} {other:>11,} {right:>9.2f} {wrong:>9.2f} {seconds:>8.1f}", flush=True)
    if chosen.misses:
        chosen.misses.write_text("".join(json.dumps(miss, ensure_ascii=False) + "\n" for miss in misses), encoding="utf-8")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()

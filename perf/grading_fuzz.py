"""Fuzzed answers: mutations of real ones and random strings of the grammar's own tokens, from a fixed seed."""

from __future__ import annotations

import random
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Sequence

from acemath.grade import STRICT, equal, grade
from acemath.grade.references import reference_of
from acemath.grade.workers import close_workers, shared_pool

_GRAMMAR = (
    r"\frac \sqrt \boxed{ { } ( ) [ ] \{ \} \left \right ^ _ ! | , ; : = < > \le \ge \ne \in \cup \cap \pm \times \cdot + - * / "
    r"% $ \$ \text{ \mathrm{ \begin{pmatrix} \end{pmatrix} & \\ \sin \cos \log \ln \pi e i x y n k 0 1 2 7 10 0.5 1,000 99999 "
    r"\sum_{k=1}^{n} \int_0^1 \lim_{x\to0} \infty \emptyset \mathbb{R} and or cm degrees percent \circ \overline{3} \binom "
    r"\pmod \equiv \ldots ' \\boxed #### answer: <think> </think> ½ √ − × π ² ° \x00 \u202e 10^{10^{10}} 9^9^9 100! f(x)"
)
_TOKENS = [*_GRAMMAR.split(" "), "\x00", "\u202e", "\ud800"]


def mutate(source: random.Random, seeds: Sequence[str]) -> str:
    """One fuzzed input."""
    if source.random() < 0.3:
        return "".join(source.choice(_TOKENS) for _ in range(source.randint(1, 25)))
    text = list(source.choice(seeds))
    for _ in range(source.randint(1, 6)):
        at = source.randrange(len(text) + 1)
        action = source.random()
        if action < 0.35:
            text[at:at] = source.choice(_TOKENS)
        elif action < 0.6 and text:
            del text[at : at + source.randint(1, 4)]
        elif action < 0.75:
            text[at:at] = text[at : at + source.randint(1, 30)] * source.randint(1, 4)
        elif action < 0.9 and text:
            text[min(at, len(text) - 1)] = chr(
                source.choice((source.randrange(32, 127), source.randrange(0x80, 0x3000)))
            )
        else:
            other = source.choice(seeds)
            text = text[:at] + list(other[source.randrange(len(other) + 1) :])
    return "".join(text)


def fuzz(seeds: Sequence[str], n: int, seed: int = 0, timeout: float = 1.0) -> dict[str, object]:
    """Grade n fuzzed inputs and report crashes, time, memory and processes. Symmetry is checked too."""
    source = random.Random(seed)
    conventions = STRICT.but(name="fuzz", timeout=timeout)
    statuses: Counter[str] = Counter()
    crashes: list[str] = []
    asymmetric, slowest, late, memory = 0, 0.0, 0, [_memory_mb()]
    for index in range(n):
        answer, reference = (
            mutate(source, seeds),
            source.choice(seeds) if index % 3 else mutate(source, seeds),
        )
        if reference_of(reference) is None:  # refused by a UserError: there is nothing to compare with
            statuses["no reference"] += 1
            continue
        start = time.perf_counter()
        try:
            verdict = grade(answer, reference, conventions) if index % 2 else equal(answer, reference, conventions)
            statuses[verdict.status] += 1
            spent = time.perf_counter() - start
            if index % 2 == 0:
                back = equal(reference, answer, conventions)
                asymmetric += verdict.correct != back.correct
        except Exception as error:  # noqa: BLE001  the run must report every kind of failure
            crashes.append(f"{type(error).__name__}: {error}: {answer[:80]!r} / {reference[:80]!r}")
            spent = 0.0
        slowest, late = max(slowest, spent), late + (spent > timeout + 0.5)
        if index % max(1, n // 10) == 0:
            memory.append(_memory_mb())
    restarts = shared_pool().restarts
    close_workers()
    return {
        "inputs": n, "crashes": len(crashes), "first crashes": crashes[:5], "statuses": dict(statuses),
        "asymmetric pairs": asymmetric, "slowest verdict, s": round(slowest, 3),
        f"verdicts later than deadline ({timeout} s) + 0.5 s": late, "workers replaced": restarts,
        "processes left behind": _children(), "memory at the start, half way and at the end, MB":
        [round(memory[0]), round(memory[len(memory) // 2]), round(memory[-1])],
    }  # fmt: skip


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _children() -> int:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return sum("acemath.grade.symbolic.process" in line for line in listed.splitlines())

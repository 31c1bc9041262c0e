"""Work on many prompts in several processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

CHUNK = 2000  # prompts that a worker gets at a time
WAITING = 4  # chunks in the queue for each worker; they hold memory

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


def workers_for(prompts: int) -> int:
    """The number of processes for so many prompts: one per core from 50,000 prompts on, else one."""
    return len(os.sched_getaffinity(0)) if prompts >= 25 * CHUNK else 1


def in_processes(
    function: Callable[[Chunk], Result],
    chunks: Iterable[Chunk],
    processes: int,
    start: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """The function's result for each chunk, in order. Each process first calls `start(*given)`.

    The processes are spawned, so a script that calls this needs `if __name__ == "__main__"`.
    """
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=start, initargs=given) as pool:
        waiting: deque[Future[Result]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(function, chunk))
            if len(waiting) > WAITING * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

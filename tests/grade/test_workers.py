"""Worker processes: deadline, replacement, threads, clean end."""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from acemath.grade import STRICT, equal
from acemath.grade.workers import WorkerPool, close_workers

SLOW = (r"\sum_{n=1}^{\infty} \frac{\sin(n^3)}{n^{n}+\cos(n)}", r"\int_0^1 x^{x^{x}} \sin(x^x) dx")


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool(1)
    yield made
    made.close()


def test_an_integral_a_limit_and_a_series(pool: WorkerPool) -> None:
    assert pool.same(r"\int_0^1 x^2 dx", r"\frac13", 20) == "equal"
    assert pool.same(r"\lim_{x\to 0} \frac{\sin x}{x}", "1", 20) == "equal"
    assert pool.same(r"\int_0^1 x^2 dx", r"\frac12", 20) == "different"


def test_an_overrun_is_killed_in_time_and_the_rest_goes_on(pool: WorkerPool) -> None:
    assert pool.same("x", "x+1", 20) == "different"
    start = time.monotonic()
    outcome = pool.same(*SLOW, 0.3)
    assert time.monotonic() - start < 10  # 0.3 s of the worker's own time: the clock runs on while others work
    assert outcome in ("timeout", "unknown")
    assert pool.restarts == (outcome == "timeout")
    assert pool.same(r"\int_0^1 x dx", r"\frac12", 20) == "equal"


def test_the_start_of_a_worker_takes_nothing_from_the_time_of_a_pair(pool: WorkerPool) -> None:
    """Loading sympy alone takes more of a processor than this pair may."""
    assert pool.same(r"\int_0^1 x dx", r"\frac12", 0.4) == "equal"
    assert pool.restarts == 0


def test_a_dead_worker_is_a_timeout_and_is_replaced(pool: WorkerPool) -> None:
    assert pool.same("x", "x", 20) == "equal"
    (worker,) = pool.workers
    worker.process.kill()
    worker.process.wait()
    assert pool.same("x", "x", 5) == "timeout"
    assert pool.same("x", "x", 20) == "equal"


def test_threads_and_asyncio() -> None:
    conventions = STRICT.but(name="threads", timeout=20.0)
    pair = (r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}")
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(equal(*pair, conventions).correct)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def in_loop() -> bool:
        return equal(*reversed(pair), conventions).correct

    assert found == [True] * 3 and asyncio.run(in_loop())
    close_workers()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_in_daemonic_children(method: str) -> None:
    equal(r"\int_0^1 x^3 dx", r"\frac14")  # the parent has a pool of its own
    context = multiprocessing.get_context(method)
    conventions = STRICT.but(name="child", timeout=20.0)
    pairs = [(r"\int_0^1 x^2 dx", value, conventions) for value in ("1/3", "1/4")]
    with context.Pool(2) as children:
        # The target is the package's own: a spawned child cannot import a test module that is on no path.
        found = children.starmap_async(equal, pairs).get(timeout=60)
    assert [verdict.status for verdict in found] == ["correct", "wrong"]
    close_workers()


def test_no_worker_outlives_its_parent() -> None:
    code = (
        "from acemath.grade import equal; import acemath.grade.workers as w;"
        r"equal(r'\int_0^1 x^2 dx', '1/3'); print(*(o.process.pid for o in w.shared_pool().workers))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid = done.stdout.strip()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        listed = subprocess.run(
            ["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False
        ).stdout
        if not listed.strip() or listed.strip().startswith("Z"):
            return
        time.sleep(0.1)
    pytest.fail(f"worker {pid} is still there")

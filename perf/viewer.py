"""How fast `acemath view` opens a folder: 1,000 problems with 64 responses each, in a real Chromium.

    python perf/viewer.py [--problems 1000] [--each 64] [--times 5]

It makes the folder (texts of about 1,200 characters, with formulas), opens the page several times, and prints the time from
the request to the page's first byte, and to the rendered list: wall time, and the processor's time of server and browser
together, which does not depend on what else the machine does. Then it times a search through all texts, and the votes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from acemath.records import Problem, Response
from acemath.run.parts import write_part
from acemath.serve.viewer.api import Viewer
from acemath.serve.viewer.server import Server

FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update "
    "disable-sync disable-dev-shm-usage"
).split()
STEP = "We add {a} and {b}, so that \\(x = {a} + {b} = {c}\\), and then use \\[\\frac{{{c}}}{{{b}}} = y.\\]\n"


def make(folder: Path, problems: int, each: int) -> None:
    """A run's folder with problems and scored responses."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(
        json.dumps({"format": 2, "partitions": {"benchmarks": 1, "training": 1}})
    )
    for stage in ("bench-problems", "scores-policy"):
        (folder / stage).mkdir()
    rng = np.random.default_rng(0)
    asked = [
        Problem(f"p{n}", f"Problem {n}: what is $x + {n}$ when $x = \\frac{{{n}}}{{2}}$?", f"\\frac{{{3 * n}}}{{2}}", "perf", "",
                "algebra" if n % 2 else "geometry", 1 + n % 5, {"benchmark": f"bench{n % 4}"})
        for n in range(problems)
    ]  # fmt: skip
    write_part(folder / "bench-problems" / "part-00000.parquet", asked, Problem, "key")
    write_part(folder / "scores-policy" / "part-00000.parquet", responses(asked, each, rng), Response, "key")


def responses(problems: list[Problem], each: int, rng: Any) -> Iterator[Response]:
    """Some right, some wrong, answers in several forms, rewards that overlap."""
    for n, problem in enumerate(problems):
        for sample in range(each):
            a, b = rng.integers(1, 10_000, 2).tolist()
            right = bool(rng.random() < 0.3 + 0.6 * (n % 7) / 6)
            answer = problem.answer if right else f"\\frac{{{3 * n + int(rng.integers(1, 4))}}}{{2}}"
            text = (
                "".join(STEP.format(a=a + i, b=b * i, c=a + i + b * i) for i in range(1, 14))
                + f"So the answer is $\\boxed{{{answer}}}$."
            )
            yield Response(
                problem.id, sample, text, "policy", "stop", 300 + sample, "correct" if right else "wrong", answer,
                "same text" if right else f"{answer} is not {problem.answer}", float(rng.normal(1.0 if right else 0.0)),
            )  # fmt: skip


def browser() -> Any:
    """Chromium without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


RENDERED = """
const done = arguments[0];
const look = () => document.querySelectorAll("#rows .entry").length >= 50
  ? requestAnimationFrame(() => done([performance.getEntriesByType("navigation")[0].responseStart, performance.now()])) : setTimeout(look, 5);
look();
"""


def main() -> None:
    """Make, open, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--each", type=int, default=64)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        make(folder, given.problems, given.each)
        size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
        print(f"{given.problems:,} problems x {given.each}, {size / 1e6:.0f} MB")
        driver = browser()
        try:
            measure(driver, folder, given.times)
        finally:
            driver.quit()


def processor_time() -> float:
    """The seconds that this process and the browser have computed."""
    me = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in (me, *me.children(recursive=True)) if p.is_running())


def measure(driver: Any, folder: Path, times: int) -> None:
    """Print the times of new servers, each opened for the first time, then of a search and of the votes."""
    first, rendered, opened, spent = [], [], [], []
    for _ in range(times):
        start = time.perf_counter()
        server = Server(Viewer([folder]))
        opened.append(time.perf_counter() - start)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        before = processor_time()
        driver.get(server.url)
        byte, shown = driver.execute_async_script(RENDERED)
        spent.append(processor_time() - before)
        first.append(byte)
        rendered.append(shown)
        server.shutdown()
        server.server_close()
    print(f"folder opened in {1000 * statistics.median(opened):.0f} ms (median of {times})")
    print(f"first byte after {statistics.median(first):.0f} ms, list rendered after {statistics.median(rendered):.0f} ms "
          f"(best {min(rendered):.0f}, worst {max(rendered):.0f} ms; load of the machine {os.getloadavg()[0]:.1f})")  # fmt: skip
    print(
        f"processor's time until then, server and browser: {1000 * statistics.median(spent):.0f} ms (best {1000 * min(spent):.0f})"
    )
    viewer = Viewer([folder])
    start = time.perf_counter()
    grouping = viewer.grouping(0)
    grouping.job.wait(600)
    print(f"votes of all problems counted in {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    while not viewer.problems({"set": "0", "q": "no such text"})["searched"]["done"]:
        pass
    print(f"a text that stands nowhere searched for in {time.perf_counter() - start:.1f} s")
    viewer.worker.close()


if __name__ == "__main__":
    main()

"""The grader inside Ray tasks: the same verdicts, its own workers, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("ray", reason="ray is not installed (pip install 'acemath[ray]')")

SCRIPT = r"""
import time
import psutil, ray
ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False, _node_ip_address="127.0.0.1")

@ray.remote
def grade_pairs(pairs):
    import os
    from acemath.grade import STRICT, equal
    conventions = STRICT.but(name="ray", timeout=20.0)
    return os.getpid(), [equal(a, b, conventions).status for a, b in pairs]

pairs = [(r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}"), (r"\int_0^1 x^2 dx", r"\frac13"), ("0.5", "1/2"), ("1/3", "1/2")]
found = ray.get([grade_pairs.remote(pairs) for _ in range(4)], timeout=90)
assert all(statuses == ["correct", "correct", "correct", "wrong"] for _, statuses in found), found
workers = [c for pid in {pid for pid, _ in found} for c in psutil.Process(pid).children(recursive=True)]
ray.shutdown()
psutil.wait_procs(workers, timeout=20)
left = [w.pid for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]
assert workers and not left, (workers, left)
print("ray and the grader agree")
"""


def test_inside_ray_tasks() -> None:
    """Four tasks in two processes use symbolic workers of their own, which end with Ray."""
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=150,
        env=environment,
        check=False,
    )
    assert done.returncode == 0 and "ray and the grader agree" in done.stdout, (
        done.stdout + done.stderr[-2000:]
    )

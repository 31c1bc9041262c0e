"""vLLM's engine ends by itself once the process that started it is killed; here with a stand-in for vLLM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from acemath.models import vllm

# Like vLLM, it starts its engine by multiprocessing, and the function's name is all that a spawned process is given.
CORE = "import time\nclass EngineCoreProc:\n    @staticmethod\n    def run_engine_core(**options):\n        time.sleep(600)\n"
LIBRARY = """import multiprocessing
from vllm.v1.engine.core import EngineCoreProc
class LLM:
    def __init__(self, model):
        engine = multiprocessing.get_context(model).Process(target=EngineCoreProc.run_engine_core, kwargs={"a": 1})
        engine.start()
        print(engine.pid, flush=True)
        engine.join()
"""
START = "import sys\nfrom acemath.models import vllm\nif __name__ == '__main__':\n    vllm._for_cpu = dict\n    vllm.start(sys.argv[1], 'a test')\n"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_engine_ends_after_kill_9(method: str, tmp_path: Path) -> None:
    """Within seconds, whichever way its process was made."""
    core = tmp_path / "vllm" / "v1" / "engine" / "core.py"
    core.parent.mkdir(parents=True)
    core.write_text(CORE)
    (tmp_path / "vllm" / "__init__.py").write_text(LIBRARY)
    (tmp_path / "start.py").write_text(START)
    path = f"{Path(vllm.__file__).parents[2]}:{tmp_path}"
    owner = subprocess.Popen(
        [sys.executable, str(tmp_path / "start.py"), method], env={"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        engine = psutil.Process(int(owner.stdout.readline()))
        assert not ended(engine, 2)
        owner.kill()
        assert ended(engine, 60)  # a spawned process first imports what it runs


def ended(process: psutil.Process, seconds: float) -> bool:
    """Whether a process ends in this time. One that nobody has waited for is a zombie."""
    try:
        process.wait(seconds)
    except psutil.TimeoutExpired:
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_an_unknown_vllm_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that starts its engines in another way: nothing would end them."""
    said: list[str] = []
    monkeypatch.setattr(vllm, "say", said.append)
    for name, members in (("vllm", {}), ("vllm.v1", {}), ("vllm.v1.engine", {}), ("vllm.v1.engine.core", {"EngineCoreProc": SimpleNamespace()})):
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    vllm._watched.__wrapped__()
    assert said == ["this version of vLLM is not known: if acemath is killed, end the processes called VLLM by hand"]

"""The lock of a folder, and a disk without space."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.files.atomic import explained, write_json
from acemath.files.lock import locked

HOLDER = """
import sys, time, os
from pathlib import Path
from acemath.files.lock import locked
with locked(Path(sys.argv[1])):
    if os.fork() == 0:  # an orphaned worker outlives its parent, and must not hold the lock
        print("held", flush=True)
        time.sleep(20)
        os._exit(0)
    time.sleep(60)
"""


def test_lock(tmp_path: Path) -> None:
    """A folder in use is refused and its process named; kill -9 frees it, whatever number its file keeps."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"in use by process {holder.pid};"), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with locked(tmp_path):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())
            with pytest.raises(UserError, match="in use"), locked(tmp_path):
                pass
    finally:
        os.killpg(holder.pid, signal.SIGKILL)  # the orphan that this test started
    (tmp_path / ".lock").write_text("1")  # a number that was given out again, to a process that is alive
    with locked(tmp_path):
        pass


def test_a_device_without_space(tmp_path: Path) -> None:
    """The kernel's own ENOSPC, from the device that is always full."""
    with pytest.raises(UserError, match=r"cannot write .*No space left on device; free some space"):  # noqa: SIM117
        with explained(tmp_path):
            with Path("/dev/full").open("wb") as device:
                device.write(b"x" * 100_000)
    with pytest.raises(UserError, match=r"cannot write .*check the folder and its permissions"):
        write_json(tmp_path / "none" / "rows.json", {})

"""The launch configurations that ship: accelerate reads them, and reward training takes what they ask for."""

from __future__ import annotations

import shlex
import subprocess
from importlib import resources
from pathlib import Path

import pytest
import typer
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from acemath.cli.rm import app
from acemath.records import Problem
from acemath.run.responses import after_shots


@pytest.mark.parametrize(("name", "machines", "processes"), [("8-gpus", 1, 8), ("32-nodes", 32, 256)])
def test_accelerate_reads_it(name: str, machines: int, processes: int) -> None:
    """The numbers of machines and processes, FSDP 2 whole on the GPUs, shards in checkpoints."""
    path = Path(str(resources.files("acemath") / "recipes" / "launch" / f"{name}.yaml"))
    config = load_config_from_file(str(path))
    assert (config.num_machines, config.num_processes) == (machines, processes)
    assert config.mixed_precision == "bf16" and config.distributed_type == "FSDP"
    assert (
        config.fsdp_config["fsdp_version"] == 2
        and config.fsdp_config["fsdp_state_dict_type"] == "SHARDED_STATE_DICT"
    )
    assert not config.fsdp_config["fsdp_offload_params"]  # reward training refuses it


def test_every_file_that_ships_is_read_and_starts_what_exists() -> None:
    """One GPU without shards; the comment of each names a command line that `acemath` has."""
    folder = Path(str(resources.files("acemath") / "recipes" / "launch"))
    assert load_config_from_file(str(folder / "1-gpu.yaml")).num_processes == 1
    for path in sorted(folder.glob("*.yaml")):
        config = yaml.safe_load(path.read_text())
        assert config["mixed_precision"] == "bf16" and not config["use_cpu"] and config["machine_rank"] == 0
        lines = [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]
        at = next(n for n, line in enumerate(lines) if line.startswith("accelerate launch"))
        command = " ".join(lines[at:]).replace("\\", "")
        assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0
        words = shlex.split(command)
        assert f"recipes/launch/{path.name}" in words and words[words.index("-m") + 1 :][:3] == ["acemath", "rm", "train"]
        options = {word for word in words[words.index("train") :] if word.startswith("--")}
        assert options <= {name for option in typer.main.get_command(app).commands["train"].params for name in option.opts}


def test_shots_come_before_the_question_in_one_turn() -> None:
    """Question and answer, joined by blank lines; ids and answers stay."""
    (asked,) = after_shots([Problem("p", "9-2?", "7")], [("1+1?", "2"), ("3+4?", "7")])
    assert asked.prompt == "1+1?\n2\n\n3+4?\n7\n\n9-2?" and (asked.id, asked.answer) == ("p", "7")
    problems = [Problem("p", "9-2?")]
    assert after_shots(problems, ()) is problems

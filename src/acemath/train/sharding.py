"""Weights, gradients and optimiser state sharded over processes (FSDP 2), for models too large for one device.

Both kinds of training share this. Unlike accelerate's FSDP it also runs without a GPU, over gloo, so tests can use it.
Each layer is gathered when it is used and freed afterwards. FSDP averages the gradients of sharded weights over the
processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from acemath.errors import UserError
from acemath.notices import is_first_process
from acemath.train.kernels import layers_of

LAUNCHER = "ACCELERATE_USE_FSDP"  # set by accelerate launch
OURS = "ACEMATH_USE_FSDP"


def sharded_launch() -> bool:
    """Whether the launcher asks for FSDP. UserError if it asks for DeepSpeed, Megatron-LM or unsupported options of FSDP.

    Call it before accelerate starts. It hides FSDP from accelerate, which would shard the model a second time.
    """
    for name, kind in (
        ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed"),
        ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM"),
    ):
        if _is_set(name):
            raise UserError(
                f"training runs with data parallelism or FSDP 2, not with {kind}; start it with plain torchrun, "
                "accelerate launch --multi_gpu, or accelerate launch --use_fsdp --fsdp_version 2"
            )
    if _is_set(LAUNCHER):
        os.environ[OURS], os.environ[LAUNCHER] = "true", "false"
    if not _is_set(OURS) or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return False
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise UserError(f"training shards with FSDP 2, not with FSDP {version}; set fsdp_version: 2")
    if _is_set("FSDP_OFFLOAD_PARAMS"):
        raise UserError("training cannot offload shards to the CPU; set fsdp_offload_params: false")
    if _is_set("FSDP_ACTIVATION_CHECKPOINTING"):
        raise UserError(
            "fsdp_activation_checkpointing is not supported; set it to false, and gradient_checkpointing: true in the "
            "settings of the training"
        )
    return True


def _is_set(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("true", "1")


def shard(model: Any, root: Any, where: torch.device, bf16: bool) -> Any:
    """Convert the model to float32 and shard `root`, the model itself or its body, over the processes; in place.

    Only the first process passes weights, in any dtype and ideally mapped from files; the others pass a model on the
    meta device. The weights are sent one at a time, so no process holds more than its shards and one whole weight.
    With `bf16` layers compute in bfloat16 and gradients are reduced in float32.
    """
    values = {**dict(model.named_parameters()), **dict(model.named_buffers())} if is_first_process() else {}
    model = model.to(device="meta", dtype=torch.float32)
    model.tie_weights()
    options: dict[str, Any] = {
        "reshard_after_forward": os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() == "true",
        "mp_policy": MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy(),
    }
    for layer in layers_of(model):
        fully_shard(layer, **options)
    fully_shard(root, **options)
    model.to_empty(device=where)
    model.tie_weights()
    for name, target in (*model.named_parameters(), *model.named_buffers()):
        _send(values.pop(name, None), target)
    return model


@torch.no_grad()
def _send(value: Tensor | None, target: Tensor) -> None:
    """Fill `target`, a weight or buffer of every process, from the `value` of the first process."""
    whole = torch.empty(target.shape, dtype=target.dtype, device=target.device)
    if value is not None:
        whole.copy_(value)
    if isinstance(target, DTensor):
        part = distribute_tensor(whole, target.device_mesh, target.placements)
        target.to_local().copy_(part.to_local())
    else:
        torch.distributed.broadcast(whole, 0)
        target.copy_(whole)


def is_sharded(model: Any) -> bool:
    """Whether `shard` sharded the model or its body."""
    return isinstance(model, FSDPModule) or isinstance(model.base_model, FSDPModule)


def parameter_groups(model: Any) -> list[dict[str, Any]]:
    """The trainable weights as groups of an optimiser: sharded and whole ones apart, since one step cannot mix them."""
    parts: dict[bool, list[Tensor]] = {}
    for weights in filter(lambda w: w.requires_grad, model.parameters()):
        parts.setdefault(isinstance(weights, DTensor), []).append(weights)
    return [{"params": part} for part in parts.values()]


def clip(parameters: Iterable[Tensor], limit: float) -> float:
    """Scale all gradients, sharded and whole, so that their norm together is at most `limit`; returns the norm before."""
    gradients = [weights.grad for weights in parameters if weights.grad is not None]
    sharded = [g for g in gradients if isinstance(g, DTensor)]
    whole = [g for g in gradients if not isinstance(g, DTensor)]
    norms = [torch.nn.utils.get_total_norm(part) for part in (sharded, whole) if part]
    total = sum(float(n.full_tensor() if isinstance(n, DTensor) else n) ** 2 for n in norms) ** 0.5
    factor = limit / (total + 1e-6)
    if factor < 1:
        for gradient in gradients:
            gradient.mul_(factor)
    return total

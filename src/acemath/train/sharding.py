"""Weights, gradients and optimiser state spread over processes (FSDP 2), for models that fill a device.

Both kinds of training share this. It needs no GPU, so that it is tested over gloo; accelerate's own shards need one.
A layer is a unit: it is gathered when it is used and let go afterwards. Gradients of sharded weights come out as means
over the processes.
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

LAUNCHER = "ACCELERATE_USE_FSDP"  # accelerate launch sets it
OURS = "ACEMATH_USE_FSDP"


def sharded_launch() -> bool:
    """Whether the launcher asks for shards. UserError where it asks for a way of sharing that is not known here.

    Called before accelerate starts: it is told of plain processes, for it would shard models a second time.
    """
    for name, kind in (
        ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed"),
        ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM"),
    ):
        if _is_set(name):
            raise UserError(
                f"training runs on whole copies of the model or on FSDP 2, not on {kind}; start it with plain torchrun, "
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
        raise UserError("training does not move shards to the processor; set fsdp_offload_params: false")
    if _is_set("FSDP_ACTIVATION_CHECKPOINTING"):
        raise UserError(
            "fsdp_activation_checkpointing is not known here; set it to false, and gradient_checkpointing: true in the "
            "settings of the training"
        )
    return True


def _is_set(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("true", "1")


def shard(model: Any, root: Any, where: torch.device, bf16: bool) -> Any:
    """The model in float32 with the weights of `root`, itself or its body, spread over the processes; in place.

    The first process brings the weights, in any precision and best mapped from files; the others a model without memory
    for any (`torch.device("meta")`). They are handed out one after the other, so that no process holds more than its
    shards and one whole weight. `bf16`: layers compute in bfloat16, and gradients are added up in float32.
    """
    values = {**dict(model.named_parameters()), **dict(model.named_buffers())} if is_first_process() else {}
    model = model.to(device="meta", dtype=torch.float32)
    model.tie_weights()
    options: dict[str, Any] = {
        "reshard_after_forward": os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() == "true",
        "mp_policy": MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy(),
    }
    for layer in next(m for m in model.base_model.children() if isinstance(m, torch.nn.ModuleList)):
        fully_shard(layer, **options)
    fully_shard(root, **options)
    model.to_empty(device=where)
    model.tie_weights()
    for name, target in (*model.named_parameters(), *model.named_buffers()):
        _hand_out(values.pop(name, None), target)
    return model


@torch.no_grad()
def _hand_out(value: Tensor | None, target: Tensor) -> None:
    """Fill one weight or buffer of every process from the first one's `value`."""
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
    """Whether `shard` spread the model."""
    return isinstance(model, FSDPModule) or isinstance(model.base_model, FSDPModule)


def held_bytes(*parts: Any) -> int:
    """Bytes that this process holds of models' weights and of optimisers' states."""
    tensors = [
        tensor
        for part in parts
        for tensor in (
            (t for state in part.state.values() for t in state.values() if isinstance(t, Tensor))
            if isinstance(part, torch.optim.Optimizer)
            else part.parameters()
        )
    ]
    local = [t.to_local() if isinstance(t, DTensor) else t for t in tensors]
    return sum(t.numel() * t.element_size() for t in local)


def parameter_groups(model: Any) -> list[dict[str, Any]]:
    """The weights that are trained, for an optimiser, sharded ones apart: it steps through a group at once."""
    parts: dict[bool, list[Tensor]] = {}
    for weights in filter(lambda w: w.requires_grad, model.parameters()):
        parts.setdefault(isinstance(weights, DTensor), []).append(weights)
    return [{"params": part} for part in parts.values()]


def clip(parameters: Iterable[Tensor], limit: float) -> float:
    """Scale all gradients down to a common norm of at most `limit`, sharded and whole ones together.

    Returns the norm before.
    """
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

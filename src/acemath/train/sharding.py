"""Weights, gradients and optimiser state spread over processes (FSDP2), for models that fill a device.

The body alone is sharded, a layer at a time; the head of one row stays whole in each process, for it is read
outside the model's own forward pass. Gradients of sharded weights come out as means over the processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DistributedType,
    FullyShardedDataParallelPlugin,
    disable_fsdp_ram_efficient_loading,
)
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from acemath.errors import UserError

FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)


def check_strategy(accelerator: Accelerator) -> None:
    """UserError where the launcher asks for a way of sharing out the model that is not known here."""
    kind = accelerator.distributed_type
    if kind in (DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise UserError(
            f"reward training runs on whole copies of the model or on FSDP 2, not on {kind.value}; start it with plain "
            "torchrun, accelerate launch --multi_gpu, or accelerate launch --use_fsdp --fsdp_version 2"
        )
    plugin = _plugin(accelerator)
    if plugin is None:
        return
    if plugin.fsdp_version != 2:
        raise UserError(
            f"reward training shards with FSDP 2, not with FSDP {plugin.fsdp_version}; set fsdp_version: 2"
        )
    if isinstance(plugin.cpu_offload, CPUOffloadPolicy):
        raise UserError(
            "reward training does not move shards to the processor; set fsdp_offload_params: false"
        )
    disable_fsdp_ram_efficient_loading()  # shard() hands the weights out itself, the fresh head among them


def _plugin(accelerator: Accelerator) -> Any:
    """The launcher's wishes for FSDP, None where it has none.

    Accelerate drops them where there is no GPU, though FSDP 2 works over gloo too: there they are read anew
    from the environment that its launcher sets.
    """
    if accelerator.distributed_type == DistributedType.FSDP:
        return accelerator.state.fsdp_plugin
    wanted = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    return FullyShardedDataParallelPlugin() if wanted and accelerator.num_processes > 1 else None


def wanted(accelerator: Accelerator) -> bool:
    """Whether the launcher asks for shards."""
    return _plugin(accelerator) is not None


def shard(model: Any, accelerator: Accelerator) -> Any:
    """The model with its body's weights spread over the processes.

    The first process brings the weights, the others a model without memory for any (`torch.device("meta")`);
    no device ever holds more than its shards and one layer.
    """
    plugin = _plugin(accelerator)
    options: dict[str, Any] = {
        "reshard_after_forward": plugin.reshard_after_forward,
        "mp_policy": plugin.mixed_precision_policy or MixedPrecisionPolicy(),
    }
    weights = model.state_dict() if accelerator.is_main_process else {}
    buffers = {name: value for name, value in model.named_buffers() if value is not None}
    model = model.to("meta")
    body = getattr(model, model.base_model_prefix)
    for layer in next(m for m in body.children() if isinstance(m, torch.nn.ModuleList)):
        fully_shard(layer, **options)
    fully_shard(body, **options)
    model.to_empty(device=accelerator.device)
    _fill_buffers(model, buffers, accelerator)
    from_first = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, weights, options=from_first)
    return model


def _fill_buffers(model: Any, buffers: dict[str, Tensor], accelerator: Accelerator) -> None:
    """Buffers (such as the rotary frequencies) as the first process has them: no checkpoint holds these."""
    for name, value in model.named_buffers():
        if accelerator.is_main_process:
            value.copy_(buffers[name])
        torch.distributed.broadcast(value, 0)


def is_sharded(model: Any) -> bool:
    """Whether `shard` spread the model."""
    return isinstance(getattr(model, model.base_model_prefix), FSDPModule)


def parameter_groups(model: Any) -> list[dict[str, Any]]:
    """The weights that are trained, for an optimiser, sharded ones apart: it steps through a group at once."""
    parts: dict[bool, list[Tensor]] = {}
    for weights in filter(lambda w: w.requires_grad, model.parameters()):
        parts.setdefault(isinstance(weights, DTensor), []).append(weights)
    return [{"params": part} for part in parts.values()]


def clip(parameters: Iterable[Tensor], limit: float) -> None:
    """Scale all gradients down to a common norm of at most `limit`, sharded and whole ones together."""
    gradients = [weights.grad for weights in parameters if weights.grad is not None]
    sharded = [g for g in gradients if isinstance(g, DTensor)]
    whole = [g for g in gradients if not isinstance(g, DTensor)]
    norms = [torch.nn.utils.get_total_norm(part) for part in (sharded, whole) if part]
    total = sum(float(n.full_tensor() if isinstance(n, DTensor) else n) ** 2 for n in norms) ** 0.5
    factor = limit / (total + 1e-6)
    if factor < 1:
        for gradient in gradients:
            gradient.mul_(factor)


def weights_of(model: Any) -> dict[str, Tensor]:
    """The whole weights on the processor. All processes call it; of a sharded model the first one gets them."""
    if is_sharded(model):
        found: dict[str, Any] = get_model_state_dict(model, options=FULL)
        return found
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def optimizer_of(model: Any, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's whole state, as `weights_of` gives the weights."""
    if is_sharded(model):
        return dict(get_optimizer_state_dict(model, optimizer, options=FULL))
    return optimizer.state_dict()


def put_back(
    model: Any, optimizer: torch.optim.Optimizer, weights: dict[str, Tensor], state: dict[str, Any]
) -> None:
    """Undo `weights_of` and `optimizer_of`; every process brings the whole of both."""
    if is_sharded(model):
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(model, dict[str, Any](weights), options=options)
        set_optimizer_state_dict(model, optimizer, state, options=options)
    else:
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)

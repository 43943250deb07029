"""Several processes that train one network together, as torchrun starts them; with one process, nothing happens here.

Every process draws the same batches and takes its share of each. Sums over the batch (the gradients, the means of batch
norm) go through all processes, so together they do what one process would do, up to rounding.
"""

from __future__ import annotations

import atexit
import os
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce as differentiable_all_reduce
from torch.nn.parallel import DistributedDataParallel


def join(device: str) -> torch.device:
    """Meet the other processes, if this one was started by torchrun.

    Args:
        device: `cpu`, `cuda` or `mps`.

    Returns:
        The device of this process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return torch.device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.device(device)


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_rank_zero() -> bool:
    """Whether this process is the one that writes files and talks to the user."""
    return not dist.is_initialized() or dist.get_rank() == 0


def shard(items: Tensor) -> Tensor:
    """This process's share of what all processes have: every n-th item, dimension 0 counting them."""
    return items[dist.get_rank() :: dist.get_world_size()] if dist.is_initialized() else items


def all_reduce(values: Tensor) -> Tensor:
    """Add the processes' values, in place: afterwards all have the sums."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def chunk(items: Tensor) -> Tensor:
    """This process's part of what all processes have, cut along dimension 0 into as many equal parts."""
    return items.chunk(dist.get_world_size())[dist.get_rank()] if dist.is_initialized() else items


def all_gather(part: Tensor) -> Tensor:
    """Put the processes' parts together again, as `chunk` cuts them."""
    if not dist.is_initialized():
        return part
    whole = part.new_empty(world_size() * len(part), *part.shape[1:])
    dist.all_gather_into_tensor(whole, part.contiguous())
    return whole


def all_agree(answer: bool, device: torch.device) -> bool:
    """Whether all processes say yes, so that all take the same way."""
    if not dist.is_initialized():
        return answer
    return bool(all_reduce(torch.tensor(float(answer), device=device)) == world_size())


def data_parallel(model: nn.Module) -> nn.Module:
    """What training calls in place of a network, so that a backward pass leaves the mean of all processes' gradients.

    The exchange takes place while the pass goes on (Li et al. 2020, "PyTorch Distributed").

    Args:
        model: the network, on its device; all processes get the first one's parameters and buffers.

    Returns:
        A network around it; with one process the network itself.
    """
    if not dist.is_initialized():
        return model
    return DistributedDataParallel(
        model,
        forward_sync_buffers=False,  # they change alike everywhere, as batch norm sees the whole batch
        # Otherwise gradients are put together in another order from the second step on, in which more than two
        # processes add them up in another order too; a training that goes on would end with other digits.
        find_unused_parameters=True,
    )


def exchange(network: nn.Module, *, now: bool) -> AbstractContextManager[None]:
    """A block of forward and backward pass, of gradients that are exchanged or wait for those of the next one.

    Args:
        network: what `data_parallel` gave.
        now: whether they are exchanged.
    """
    if now or not isinstance(network, DistributedDataParallel):
        return nullcontext()
    waiting: AbstractContextManager[None] = network.no_sync()
    return waiting


def broadcast_from_rank_zero(model: nn.Module) -> None:
    """Give all processes the first one's parameters and buffers, lest unlike machines drift apart by rounding."""
    if dist.is_initialized():
        for tensor in model.state_dict().values():
            firsts = tensor.contiguous()  # a copy, unless it was
            dist.broadcast(firsts, 0)
            tensor.copy_(firsts)


def join_batch_norms(model: nn.Module, device: torch.device) -> None:
    """Let batch norm take its means over the shares of all processes; parameters and their names stay.

    Args:
        model: the network, changed in place.
        device: where it is; on a GPU it gets PyTorch's `SyncBatchNorm`, which knows no other device.
    """
    if dist.is_initialized():
        if device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
            return
        for module in model.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = _BatchNormOverProcesses


class _BatchNormOverProcesses(nn.BatchNorm2d):
    """Batch norm over the whole batch on CPUs."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise maps of shape (image, channel, height, width); statistics are taken in single precision."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        maps = input.float()
        n_values = maps.numel() // maps.shape[1]
        sums = differentiable_all_reduce(torch.cat([maps.sum((0, 2, 3)), maps.new_tensor([n_values])]))
        n_all, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        centred = maps - mean[:, None, None]
        var = differentiable_all_reduce(centred.square().sum((0, 2, 3))) / n_all
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n_all / (n_all - 1), self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps)
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised.to(input.dtype)

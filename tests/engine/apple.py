"""A device without float64, as an Apple GPU is, for machines without one: the kernels are the CPU's, the rules not.

Inside `gpu()` tensors can be made on `mps` and moved there and back. One that is there holds a tensor of the CPU that
nothing else reaches; what would be float64 there is refused in whatever way it comes about, a move to the CPU that
widens in the same step too, and so is what mixes devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from tests.engine.toy import Toy
from tracelang.models.protocol import TextStates

DEVICE = torch.device("mps")
REFUSED = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64"
INDICES = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default)
"""These take indices that lie on the CPU."""


class OnGpu(Tensor):
    """A tensor there. What is written in C takes it for one of the CPU, what is written in Python does not."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGpu:
        if held.dtype == torch.float64:
            raise TypeError(REFUSED)
        told = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = Tensor._make_wrapper_subclass(cls, held.shape, device="cpu", **told)  # type: ignore[attr-defined]
        made.held = held
        return made  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return DEVICE

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], told: None, size: object, stride: object) -> OnGpu:
        return OnGpu(inner["held"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return ran(func, args, kwargs or {})


class Moved(torch.autograd.Function):
    """To the other side and, on arriving there, to another dtype; towards the GPU the other way round."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, there: bool, dtype: torch.dtype | None) -> Tensor:
        ctx.told = isinstance(tensor, OnGpu), tensor.dtype
        if isinstance(tensor, OnGpu):
            if dtype == torch.float64:
                raise TypeError(REFUSED)
            tensor = tensor.held
        copied = tensor.to(dtype or tensor.dtype, copy=True)
        return OnGpu(copied) if there else copied

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        return Moved.apply(grad, *ctx.told), None, None


class Asked(TorchFunctionMode):
    """What names a device, before torch looks for it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.cpu:
            return moved(args[0], torch.device("cpu"), None)
        if func is Tensor.to:
            tensor, *told = args
            other = told[0] if told else kwargs.get("other")
            if isinstance(other, Tensor):
                return moved(tensor, other.device, other.dtype)
            more = {name: value for name, value in kwargs.items() if name != "copy"}
            device, dtype, _, _ = torch._C._nn._parse_to(*told, **more)
            if isinstance(tensor, OnGpu) or device == DEVICE:
                return moved(tensor, device or tensor.device, dtype, bool(kwargs.get("copy")))
        elif kwargs.get("device") is not None and torch.device(kwargs["device"]).type == DEVICE.type:
            return moved(func(*args, **{**kwargs, "device": "cpu"}), DEVICE, None)
        return func(*args, **kwargs)


def moved(tensor: Tensor, device: torch.device, dtype: torch.dtype | None, copy: bool = False) -> Tensor:
    if device.type == tensor.device.type and not copy:
        return tensor if dtype in (None, tensor.dtype) else tensor.type(dtype)
    return Moved.apply(tensor, device.type == DEVICE.type, dtype)  # type: ignore[no-any-return, no-untyped-call]


class Gpu(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return ran(func, args, kwargs or {})


def ran(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operator, on what the tensors there hold; what it makes of them is there."""
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    if not any(isinstance(value, OnGpu) for value in tensors):
        return func(*args, **kwargs)
    copy = func is torch.ops.aten.copy_.default
    if copy and not isinstance(args[0], OnGpu) and args[0].dtype == torch.float64:
        raise TypeError(REFUSED)
    if not copy and func not in INDICES and any(not isinstance(one, OnGpu) and one.dim() for one in tensors):
        raise RuntimeError(f"{func}: Expected all tensors to be on the same device")
    inside, more = tree_map_only(OnGpu, lambda value: value.held, (args, kwargs))
    result = func(*inside, **more)
    if func._schema.is_mutable and isinstance(result, Tensor):
        return args[0]
    return tree_map_only(Tensor, OnGpu, result)


@contextmanager
def gpu() -> Iterator[None]:
    with Asked(), Gpu():
        yield


class AppleToy(Toy):
    """The toy with its denoiser, its latents and the states it is asked with on that device. Made inside of `gpu`."""

    device = DEVICE

    def __init__(self, base: int = 0) -> None:
        super().__init__(base)
        self.denoiser.to(DEVICE)
        assert all(isinstance(one, OnGpu) for one in self.denoiser.parameters())

    def states(self, embeddings: Tensor) -> TextStates:
        return TextStates({name: value.to(DEVICE) for name, value in super().states(embeddings).inputs.items()})

    def noise(self, seeds: Sequence[int]) -> Tensor:
        return super().noise(seeds).to(DEVICE)

"""Weights as trainings leave them: under prefixes and in dictionaries, beside other parts of the same training."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

AVERAGED = ("teacher", "ema", "model_ema", "state_dict_ema", "target_encoder", "momentum_encoder")
"""Of a network and its moving average the average is meant (Caron et al. 2021, DINO; Grill et al. 2020, BYOL)."""


def fitting_prefixes(tensors: Mapping[str, Tensor], needed: Collection[str]) -> list[str]:
    """Find under which prefixes tensors lie, such as `module.`, `_orig_mod.`, `backbone.` or `state_dict.`.

    Args:
        tensors: by the keys that lead to them, joined by dots.
        needed: the names that must be there.

    Returns:
        The prefixes, the empty one among them, under which all names are; if a network and its average are there, that
        of the average alone.
    """
    one = min(needed)
    ends = sorted(name.removesuffix(one) for name in tensors if name == one or name.endswith(f".{one}"))
    fitting = [prefix for prefix in ends if all(prefix + name in tensors for name in needed)]
    averaged = [prefix for prefix in fitting if set(prefix.split(".")) & set(AVERAGED)]
    return averaged or fitting


def describe_prefix(weights: str, prefix: str, n_others: int) -> str:
    """Say what of a file is used, where that is not all of it under the expected names; empty otherwise.

    Args:
        weights: the file.
        prefix: under which the tensors lie.
        n_others: how many tensors lie elsewhere.
    """
    if not prefix:
        return ""
    others = f"; {n_others} others are left out" if n_others else ""
    return f"{weights}: the tensors under {prefix.removesuffix('.')} are used{others}."

"""From the tensors of one module in a file to the deltas of its parameters."""

import math
from collections.abc import Callable, Mapping

from torch import Tensor

from core.models.lora.deltas import Additive, Decomposed, Delta, Hadamard, Kronecker, Matrix, Product, Whole

Shape = tuple[int, ...]
Tensors = Mapping[str, Tensor]  # by role
PeftScale = Callable[[int | None], float]
"""From a rank to the scale that peft's configuration gives where the file has no alpha."""

LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")


class Misfit(Exception):
    """These tensors do not make a change of this module: one is missing, or has another shape."""


def assemble(tensors: Tensors, shapes: Mapping[str, Shape], peft: PeftScale) -> dict[str, Delta]:
    """What the tensors of one module change: parameter (weight, bias) -> delta.

    shapes: of the module's own parameters. Every tensor is used, or this raises Misfit.
    """
    left = set(tensors)
    changes: dict[str, Delta] = {}
    for roles, parameter, make in (
        (("up", "down", "mid"), "weight", _low_rank),
        ((*LOHA, "hada_t1", "hada_t2"), "weight", _hadamard),
        (("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"), "weight", _kronecker),
        (("diff",), "weight", _whole("diff")),
        (("w_norm",), "weight", _whole("w_norm")),
        (("diff_b",), "bias", _whole("diff_b")),
        (("b_norm",), "bias", _whole("b_norm")),
        (("bias",), "bias", _low_rank_bias),
    ):
        if not left.intersection(roles):
            continue
        if parameter in changes or parameter not in shapes:
            raise Misfit
        additive = make(tensors, peft)
        _check(additive.of, shapes[parameter])
        left -= {*roles, "alpha"}
        changes[parameter] = additive
        if parameter == "weight" and (magnitude := _magnitude(tensors)) is not None:
            changes[parameter] = _decomposed(additive, magnitude, shapes[parameter])
            left -= {"dora_scale", "magnitude_vector"}
    if left or not changes:
        raise Misfit
    return changes


def _low_rank(tensors: Tensors, peft: PeftScale) -> Additive:
    product = _product(_needed(tensors, "up"), _needed(tensors, "down"), tensors.get("mid"))
    return Additive(product, _scale(tensors, product.rank, peft))


def _low_rank_bias(tensors: Tensors, peft: PeftScale) -> Additive:
    rank = _needed(tensors, "down").shape[0]
    return Additive(Whole(_needed(tensors, "bias")), _scale(tensors, rank, peft))


def _hadamard(tensors: Tensors, peft: PeftScale) -> Additive:
    a1, b1, a2, b2 = (_needed(tensors, role) for role in LOHA)
    matrix = Hadamard(_factors(a1, b1, tensors.get("hada_t1")), _factors(a2, b2, tensors.get("hada_t2")))
    return Additive(matrix, _scale(tensors, b1.shape[0], peft))


def _kronecker(tensors: Tensors, peft: PeftScale) -> Additive:
    left, right = _half(tensors, "lokr_w1"), _half(tensors, "lokr_w2", tensors.get("lokr_t2"))
    ranks = [half.rank for half in (right, left) if isinstance(half, Product)]
    # Two whole halves have no rank, and an alpha beside them means nothing (LyCORIS); peft's configuration does.
    scale = _scale(tensors, ranks[0], peft) if ranks else 1.0 if "alpha" in tensors else peft(None)
    return Additive(Kronecker(left, right), scale)


def _half(tensors: Tensors, role: str, core: Tensor | None = None) -> Product | Whole:
    if role in tensors:
        if core is not None or f"{role}_a" in tensors or f"{role}_b" in tensors:
            raise Misfit
        return _of_matrix(tensors[role])
    return _factors(_needed(tensors, f"{role}_a"), _needed(tensors, f"{role}_b"), core)


def _whole(role: str) -> Callable[[Tensors, PeftScale], Additive]:
    return lambda tensors, peft: Additive(_of_matrix(_needed(tensors, role)))


def _of_matrix(tensor: Tensor) -> Whole:
    if tensor.dim() < 1 or not tensor.numel():
        raise Misfit
    return Whole(tensor)


def _factors(a: Tensor, b: Tensor, core: Tensor | None) -> Product:
    """LyCORIS' halves: with a core, the first is stored as [r, out]."""
    if core is not None and a.dim() == 2:
        a = a.T
    return _product(a, b, core)


def _product(a: Tensor, b: Tensor, core: Tensor | None) -> Product:
    ranks = (a.shape[1], b.shape[0]) if a.dim() >= 2 and b.dim() >= 2 else (0, 1)
    if ranks[0] != ranks[1] or not a.numel() or not b.numel() or a.numel() != a.shape[0] * ranks[0]:
        raise Misfit
    if core is not None and (
        tuple(core.shape[:2]) != ranks or not core.numel() or b.numel() != b.shape[0] * b.shape[1]
    ):
        raise Misfit
    return Product(a, b, core)


def _magnitude(tensors: Tensors) -> Tensor | None:
    """DoRA's: peft's has one for each row, in a shape ([1, out, 1, 1]) that looks like LyCORIS' for each column."""
    if "magnitude_vector" in tensors:
        return tensors["magnitude_vector"].flatten()
    return tensors.get("dora_scale")


def _decomposed(of: Additive, magnitude: Tensor, shape: Shape) -> Decomposed:
    by_row = tuple(magnitude.shape[:1]) == shape[:1] and magnitude.numel() == shape[0]
    by_column = len(shape) > 1 and tuple(magnitude.shape[:2]) == (1, shape[1]) and magnitude.numel() == shape[1]
    if not (by_row or by_column):
        raise Misfit
    return Decomposed(of, magnitude)


def _scale(tensors: Tensors, rank: int, peft: PeftScale) -> float:
    alpha = tensors.get("alpha")
    if alpha is None:
        return peft(rank)
    if alpha.numel() != 1:
        raise Misfit
    return float(alpha) / rank


def _needed(tensors: Tensors, role: str) -> Tensor:
    if role not in tensors:
        raise Misfit
    return tensors[role]


def _check(matrix: Matrix, shape: Shape) -> None:
    """Before anything is multiplied: a hostile file may name factors whose product fills the memory."""
    if math.prod(matrix.shape) != math.prod(shape) or matrix.shape[:1] != shape[:1]:
        raise Misfit

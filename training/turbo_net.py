"""demo-turbo's transformer, and its forward pass for a whole batch at once, as training needs it.

diffusers' own forward takes lists and goes through complex numbers and an attention whose backward is slow on a CPU.
This one does the same arithmetic (a test holds them together) on the same modules. N pictures, L tokens of a caption
padded to a multiple of 32, W width. The patches of a picture must be a multiple of 32, too: others are not padded here.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import ZImageTransformer2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from training.turbo_text import WIDTH as TEXT_WIDTH

CHANNELS, PATCH = 4, 2
SHIFT = 3.0  # of the noise schedule, as Z-Image Turbo's
LAYERS = 9
OPEN = 0.2  # a residual branch's gate at the start, before tanh
AJAR = 0.02  # the same of a layer that is put into a trained network
Rope = tuple[Tensor, Tensor]  # cosines and sines [tokens, pairs of a head]
Block = Callable[[Any, Tensor, Rope, Tensor | None], Tensor]


def build(width: int = 128, layers: int = LAYERS, heads: int = 2) -> ZImageTransformer2DModel:
    """Z-Image's shape, narrow. Modulation and output start at zero, the gates a little open."""
    side = width // heads
    net = ZImageTransformer2DModel(
        in_channels=CHANNELS,
        dim=width,
        n_layers=layers,
        n_refiner_layers=1,
        n_heads=heads,
        n_kv_heads=heads,
        cap_feat_dim=TEXT_WIDTH,
        axes_dims=[side // 4, side * 3 // 8, side * 3 // 8],
        axes_lens=[512, 64, 64],
    )
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "adaLN_modulation" in name or "all_final_layer" in name:
                nn.init.zeros_(weight)
            elif weight.ndim == 2 and "pad_token" not in name:
                nn.init.normal_(weight, std=0.7 * weight.shape[1] ** -0.5)
        for layer in [*net.noise_refiner, *net.layers]:
            gates = layer.adaLN_modulation[0].bias.view(4, width)
            gates[1], gates[3] = OPEN, OPEN
    return net


@torch.no_grad()
def grown(net: ZImageTransformer2DModel, layers: int) -> ZImageTransformer2DModel:
    """The same function in more layers: behind an old one stand halves of its copies, their gates next to closed."""
    old = len(net.layers)
    if old == layers:
        return net
    deep = build(net.config.dim, layers, net.config.n_heads)
    deep.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("layers.")}, strict=False)
    for number, layer in enumerate(deep.layers):
        source = number * old // layers
        weights = net.layers[source].state_dict()
        if number and (number - 1) * old // layers == source:
            weights = {name: half_drawn(name, weight, layer.state_dict()[name]) for name, weight in weights.items()}
        layer.load_state_dict(weights)
    return deep


def half_drawn(name: str, weight: Tensor, drawn: Tensor) -> Tensor:
    """A weight of the copy of a layer."""
    if "adaLN_modulation" not in name:
        return 0.5 * weight + 0.8 * drawn if weight.ndim == 2 else weight
    parts = weight.unflatten(0, (4, -1)).clone()
    parts[[1, 3]] = 0.0 if weight.ndim == 2 else AJAR
    return parts.flatten(0, 1)


def normed(norm: nn.Module, x: Tensor) -> Tensor:
    """RMSNorm, inside in float32."""
    even = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + norm.eps)
    return even.to(x.dtype) * norm.weight


def turned(x: Tensor, rope: Rope) -> Tensor:
    """Each pair of neighbours in a head [N, tokens, heads, 2 * pairs] turned by its token's angles."""
    cos, sin = (part[:, None] for part in rope)
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


def attend(attention: Any, x: Tensor, rope: Rope) -> Tensor:
    heads = attention.heads
    weights = torch.cat([attention.to_q.weight, attention.to_k.weight, attention.to_v.weight])
    query, key, value = F.linear(x, weights).unflatten(-1, (3, heads, -1)).unbind(2)
    query = turned(normed(attention.norm_q, query), rope).transpose(1, 2)
    key = turned(normed(attention.norm_k, key), rope).transpose(1, 2)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    mixed = scores.softmax(-1) @ value.transpose(1, 2)
    return attention.to_out[0](mixed.transpose(1, 2).flatten(2))


def block(layer: Any, x: Tensor, rope: Rope, told: Tensor | None) -> Tensor:
    """One layer on [N, tokens, W]; told: the embedded time [N, W], None for captions, which do not know it."""
    before, after = layer.attention_norm1, layer.attention_norm2
    feed = layer.feed_forward
    if told is None:
        x = x + normed(after, attend(layer.attention, normed(before, x), rope))
        inner = normed(layer.ffn_norm1, x)
        return x + normed(layer.ffn_norm2, feed.w2(F.silu(feed.w1(inner)) * feed.w3(inner)))
    scale, gate, scale_2, gate_2 = layer.adaLN_modulation(told)[:, None].chunk(4, 2)
    x = x + gate.tanh() * normed(after, attend(layer.attention, normed(before, x) * (1 + scale), rope))
    inner = normed(layer.ffn_norm1, x) * (1 + scale_2)
    return x + gate_2.tanh() * normed(layer.ffn_norm2, feed.w2(F.silu(feed.w1(inner)) * feed.w3(inner)))


def ropes(net: Any, length: int, rows: int, columns: int) -> tuple[Rope, Rope]:
    """Of a caption (positions 1 … length) and of a picture's patches, which stand at the position after it."""
    grid = net.create_coordinate_grid
    places = grid((length, 1, 1), (1, 0, 0)), grid((1, rows, columns), (length + 1, 0, 0))
    angles = [net.rope_embedder(place.flatten(0, 2)) for place in places]
    return tuple((angle.real.contiguous(), angle.imag.contiguous()) for angle in angles)


def forward(net: Any, x: Tensor, time: Tensor, states: Tensor, said: Tensor, run: Block = block) -> Tensor:
    """x [N, C, H, W'], time = 1 - sigma [N], states [N, L, text width], said [N, L] -> what `net` gives for x."""
    count, channels, height, width = x.shape
    rows, columns = height // PATCH, width // PATCH
    patches = (
        x.view(count, channels, rows, PATCH, columns, PATCH)
        .permute(0, 2, 4, 3, 5, 1)
        .reshape(count, -1, channels * PATCH**2)
    )
    told = net.t_embedder(time * net.t_scale).to(x.dtype)
    of_words, of_picture = ropes(net, states.shape[1], rows, columns)
    tokens = net.all_x_embedder["2-1"](patches)
    for layer in net.noise_refiner:
        tokens = run(layer, tokens, of_picture, told)
    words = net.cap_embedder[1](normed(net.cap_embedder[0], states))
    words = torch.where(said[..., None], words, net.cap_pad_token)
    for layer in net.context_refiner:
        words = run(layer, words, of_words, None)
    both: Rope = tuple(torch.cat(pair) for pair in zip(of_picture, of_words, strict=True))
    tokens = torch.cat([tokens, words], 1)
    for layer in net.layers:
        tokens = run(layer, tokens, both, told)
    out = net.all_final_layer["2-1"](tokens[:, : rows * columns], c=told)
    out = out.view(count, rows, columns, PATCH, PATCH, channels).permute(0, 5, 1, 3, 2, 4)
    return out.reshape(count, channels, height, width)

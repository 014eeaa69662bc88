"""What sigma means to a model: how its input is scaled, and how its raw output becomes denoised.

Every kind owns a table `sigmas` (ascending, float32, read only) over the timesteps it was trained on, and the two
directions between them. Words and numbers are ComfyUI's: eps and v live in x = x0 + sigma*noise, flow in
x = (1-sigma)*x0 + sigma*noise. A sigma is a Python float, or a tensor of shape [] or [B]; x has shape [B, ...].
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, cast, overload

import torch
from torch import Tensor


def per_image(sigma: float | Tensor, x: Tensor) -> float | Tensor:
    """A sigma of shape [B] as [B, 1, 1, ...], so that it scales x image by image; anything else as it is."""
    if isinstance(sigma, Tensor) and sigma.ndim == 1:
        return sigma.to(x.device).view(-1, *[1] * (x.ndim - 1))
    return sigma


def floats(tensor: Tensor) -> list[float]:
    return cast("list[float]", tensor.tolist())  # pyright: ignore[reportUnknownMemberType]


def root(value: float | Tensor) -> float | Tensor:
    return value.sqrt() if isinstance(value, Tensor) else math.sqrt(value)


@dataclass(frozen=True)
class ModelSampling(ABC):
    """The base of all kinds. Equal fields mean equal bits, so `repr` names a kind completely."""

    is_flow: ClassVar[bool] = False

    @cached_property
    @abstractmethod
    def sigmas(self) -> Tensor:
        """The whole table, ascending, float32 on the CPU."""

    @cached_property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @cached_property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    @overload
    def timestep(self, sigma: float) -> float: ...
    @overload
    def timestep(self, sigma: Tensor) -> Tensor: ...
    @abstractmethod
    def timestep(self, sigma: float | Tensor) -> float | Tensor:
        """What the net is told in place of sigma."""

    @overload
    def sigma(self, timestep: float) -> float: ...
    @overload
    def sigma(self, timestep: Tensor) -> Tensor: ...
    @abstractmethod
    def sigma(self, timestep: float | Tensor) -> float | Tensor:
        """The sigma of a timestep, which may be a fraction."""

    @abstractmethod
    def percent_to_sigma(self, percent: float) -> float:
        """The sigma where a share of the run lies behind: 0 is the start, 1 the end."""

    @abstractmethod
    def input(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The net's input."""

    @abstractmethod
    def denoised(self, x: Tensor, sigma: float | Tensor, output: Tensor) -> Tensor:
        """The model's estimate of the clean latent, from the net's raw output."""

    @abstractmethod
    def noise_scaling(
        self, sigma: float | Tensor, noise: Tensor, latent: Tensor, max_denoise: bool | None = None
    ) -> Tensor:
        """The state at sigma that starts from a latent. Whether it is all noise is found from sigma, unless told."""

    @abstractmethod
    def inverse_noise_scaling(self, sigma: float | Tensor, x: Tensor) -> Tensor:
        """What ComfyUI hands out at the end of a run that stopped at sigma."""


def stable_diffusion_acp() -> Tensor:
    """The cumulative product of 1 - beta over Stable Diffusion's 1000 timesteps, float64."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


@dataclass(frozen=True)
class EpsDiscrete(ModelSampling):
    """The net predicts the noise, at 1000 integer timesteps (Ho et al. 2020): SD1.5, SDXL."""

    @cached_property
    def _table(self) -> Tensor:
        """The table before rounding, float64: its logarithms are rounded on their own."""
        acp = stable_diffusion_acp()
        return ((1 - acp) / acp).sqrt()

    @cached_property
    def sigmas(self) -> Tensor:
        return self._table.float()

    @cached_property
    def log_sigmas(self) -> Tensor:
        return self._table.log().float()

    @cached_property
    def _logs(self) -> list[float]:
        return floats(self.log_sigmas)

    def _nearest(self, sigma: float | Tensor) -> int | Tensor:
        """The index whose ln sigma is nearest: a net trained on integers is told an integer, whatever the schedule."""
        if isinstance(sigma, Tensor):
            logs = self.log_sigmas.to(sigma.device)
            return (sigma.log()[..., None] - logs).abs().argmin(dim=-1)
        if sigma <= 0:
            return 0
        log, logs = math.log(sigma), self._logs
        right = min(max(bisect_left(logs, log), 1), len(logs) - 1)
        return right - 1 if log - logs[right - 1] <= logs[right] - log else right

    @overload
    def timestep(self, sigma: float) -> float: ...
    @overload
    def timestep(self, sigma: Tensor) -> Tensor: ...
    def timestep(self, sigma: float | Tensor) -> float | Tensor:
        return self._nearest(sigma)

    @overload
    def sigma(self, timestep: float) -> float: ...
    @overload
    def sigma(self, timestep: Tensor) -> Tensor: ...
    def sigma(self, timestep: float | Tensor) -> float | Tensor:
        if not isinstance(timestep, Tensor):
            return float(self.sigma(torch.tensor(float(timestep))))
        logs = self.log_sigmas.to(timestep.device)
        t = timestep.float().clamp(0, len(logs) - 1)
        low, weight = t.floor().long(), t.frac()
        # exp in float64, because vectorised float32 ones differ between CPUs, and a Brownian tree shows the last bit
        return ((1 - weight) * logs[low] + weight * logs[t.ceil().long()]).double().exp().float()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return 999999999.9
        return 0.0 if percent >= 1 else self.sigma((1 - percent) * 999)

    def input(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        s = per_image(sigma, x)
        return x / root(s * s + 1)

    def denoised(self, x: Tensor, sigma: float | Tensor, output: Tensor) -> Tensor:
        return x - output * per_image(sigma, x)

    def noise_scaling(
        self, sigma: float | Tensor, noise: Tensor, latent: Tensor, max_denoise: bool | None = None
    ) -> Tensor:
        s = per_image(sigma, noise)
        if max_denoise is None:
            level = float(sigma.max()) if isinstance(sigma, Tensor) else sigma
            max_denoise = level > self.sigma_max or math.isclose(level, self.sigma_max, rel_tol=1e-5)
        return latent + noise * (root(1 + s * s) if max_denoise else s)

    def inverse_noise_scaling(self, sigma: float | Tensor, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class VDiscrete(EpsDiscrete):
    """The net predicts v (Salimans and Ho 2022); with `zsnr` the table ends in almost no signal (Lin et al. 2023)."""

    zsnr: bool = False

    @cached_property
    def _table(self) -> Tensor:
        if not self.zsnr:
            return super()._table
        a = stable_diffusion_acp().sqrt()
        a = (a - a[-1]) * (a[0] / (a[0] - a[-1]))
        acp = a * a
        acp[-1] = 4.8973451890853435e-08  # 0 would be an infinite sigma
        return ((1 - acp) / acp).sqrt()

    def denoised(self, x: Tensor, sigma: float | Tensor, output: Tensor) -> Tensor:
        s = per_image(sigma, x)
        return x / (s * s + 1) - output * (s / root(s * s + 1))


@dataclass(frozen=True)
class LCMDistilled(EpsDiscrete):
    """A latent consistency model (Luo et al. 2023): 50 of the 1000 timesteps, and a boundary condition at sigma 0."""

    @cached_property
    def _table(self) -> Tensor:
        return super()._table.float()[19::20].double()

    @overload
    def timestep(self, sigma: float) -> float: ...
    @overload
    def timestep(self, sigma: Tensor) -> Tensor: ...
    def timestep(self, sigma: float | Tensor) -> float | Tensor:
        return self._nearest(sigma) * 20 + 19

    @overload
    def sigma(self, timestep: float) -> float: ...
    @overload
    def sigma(self, timestep: Tensor) -> Tensor: ...
    def sigma(self, timestep: float | Tensor) -> float | Tensor:
        return super().sigma((timestep - 19) / 20)

    def denoised(self, x: Tensor, sigma: float | Tensor, output: Tensor) -> Tensor:
        t = per_image(self.timestep(sigma), x) * 10
        data = 0.5  # the paper's sigma_data
        c_skip, c_out = data**2 / (t * t + data**2), t / root(t * t + data**2)
        return (x - output * per_image(sigma, x)) * c_out + x * c_skip


class _Const(ModelSampling):
    """The net predicts the velocity noise - x0 of a straight path (rectified flow, Liu et al. 2022)."""

    is_flow: ClassVar[bool] = True

    def input(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        return x

    def denoised(self, x: Tensor, sigma: float | Tensor, output: Tensor) -> Tensor:
        return x - output * per_image(sigma, x)

    def noise_scaling(
        self, sigma: float | Tensor, noise: Tensor, latent: Tensor, max_denoise: bool | None = None
    ) -> Tensor:
        s = per_image(sigma, noise)
        return s * noise + (1 - s) * latent

    def inverse_noise_scaling(self, sigma: float | Tensor, x: Tensor) -> Tensor:
        return x / (1 - per_image(sigma, x))

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return 1.0
        return 0.0 if percent >= 1 else self._shifted(1 - percent)

    @abstractmethod
    def _shifted(self, t: float) -> float:
        """The sigma at t, a share of the path: 1 is noise."""


@dataclass(frozen=True)
class Flow(_Const):
    """Flow with a shift (Esser et al. 2024): SD3 (3, 1000), Z-Image (3, 1), Lumina2 (6, 1), Flux schnell (1, 1)."""

    shift: float
    multiplier: float = 1.0

    @cached_property
    def sigmas(self) -> Tensor:
        return self.sigma(torch.arange(1, 1001) / 1000 * self.multiplier)

    @overload
    def timestep(self, sigma: float) -> float: ...
    @overload
    def timestep(self, sigma: Tensor) -> Tensor: ...
    def timestep(self, sigma: float | Tensor) -> float | Tensor:
        return sigma * self.multiplier

    @overload
    def sigma(self, timestep: float) -> float: ...
    @overload
    def sigma(self, timestep: Tensor) -> Tensor: ...
    def sigma(self, timestep: float | Tensor) -> float | Tensor:
        t = timestep / self.multiplier
        return self.shift * t / (1 + (self.shift - 1) * t)

    def _shifted(self, t: float) -> float:
        return self.sigma(t * self.multiplier)


@dataclass(frozen=True)
class FluxFlow(_Const):
    """Flux dev's flow: the shift is e^mu, the table has 10000 entries, the net is told sigma itself."""

    mu: float = 1.15

    @cached_property
    def sigmas(self) -> Tensor:
        return self.sigma(torch.arange(1, 10001) / 10000)

    @overload
    def timestep(self, sigma: float) -> float: ...
    @overload
    def timestep(self, sigma: Tensor) -> Tensor: ...
    def timestep(self, sigma: float | Tensor) -> float | Tensor:
        return sigma

    @overload
    def sigma(self, timestep: float) -> float: ...
    @overload
    def sigma(self, timestep: Tensor) -> Tensor: ...
    def sigma(self, timestep: float | Tensor) -> float | Tensor:
        return math.exp(self.mu) / (math.exp(self.mu) + (1 / timestep - 1))

    def _shifted(self, t: float) -> float:
        return self.sigma(t)

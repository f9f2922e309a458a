"""How a branch joins the residual stream."""

from math import tanh

from attncli.reference.vectors import Vector


def joined(
    x: Vector, f: Vector, kind: str, *, by: float = 1, alpha: float = 1, gain: Vector | float = 1
) -> list[float]:
    """add x + f; scaled x + by f; deepnorm alpha x + f, before its norm; rezero and layer_scale x + gain f, with one
    gain or one a feature; gated x + tanh(gain) f.

    Wang et al. 2022, arXiv:2203.00555, fig. 2; Bachlechner et al. 2020, arXiv:2003.04887, eq. 1; Touvron et al. 2021,
    arXiv:2103.17239, eq. 4; Alayrac et al. 2022, arXiv:2204.14198, section 2.2.
    """
    gains = [gain] * len(x) if isinstance(gain, (int, float)) else list(gain)
    if kind == "gated":
        gains = [tanh(each) for each in gains]
    return [alpha * a + by * g * b for a, b, g in zip(x, f, gains, strict=True)]

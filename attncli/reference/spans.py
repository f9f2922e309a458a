"""A reach around a predicted place, for one query of one head."""

from math import exp, tanh

from attncli.reference.recurrent import sigmoid
from attncli.reference.vectors import Matrix, Vector, dot, row_times


def predicted_centre(query: Vector, length: int, *, weight: Matrix, vector: Vector) -> float:
    """p = S sigmoid(v . tanh(q W)) with W (e e). Luong et al. 2015, arXiv:1508.04025, eq. 9."""
    return length * sigmoid(dot(vector, [tanh(x) for x in row_times(query, weight)]))


def gaussian(place: int, centre: float, *, half_width: int) -> float:
    """exp(-(k - p)^2 / (2 s^2)), s = D / 2; 0 where |k - p| > D. Luong et al. 2015, eq. 10."""
    away = place - centre
    return exp(-(away**2) / (2 * (half_width / 2) ** 2)) if abs(away) <= half_width else 0.0

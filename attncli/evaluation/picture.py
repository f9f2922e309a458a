"""The confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

from attncli.evaluation.labels import Counts
from attncli.pictures import canvas, save

NUMBERED = 30
"""Classes up to which the counts are written into the cells."""


def draw_confusion(counts: Counts, labels: Sequence[str], path: Path) -> None:
    """Each row by its share (so that rare classes are seen too), with the counts in the cells."""
    import numpy as np

    matrix = np.array(counts, dtype=float)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = min(20.0, 2.5 + 0.45 * len(labels))
    with canvas(side + 1, side) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel("predicted")
        axes.set_ylabel("reference")
        figure.colorbar(image, label="share of the reference's row")
        if len(labels) <= NUMBERED:
            for row, column in zip(*np.nonzero(matrix), strict=True):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{int(matrix[row, column])}", ha="center", va="center", color=colour)
        save(figure, path)

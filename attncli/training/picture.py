"""loss.png: what was minimised, what validation gave, and the learning rate, over the steps of a run."""

from pathlib import Path

from attncli import pictures
from attncli.training.journal import METRICS, read_lines


def draw_loss(folder: Path, file: Path) -> None:
    """Draw the run's metrics.jsonl; nothing is drawn before two reports, which make a line."""
    lines = read_lines(folder / METRICS)
    train, valid = ([line for line in lines if line["split"] == split] for split in ("train", "valid"))
    if len(train) < 2:
        return
    with pictures.canvas(7, 5) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot(*_over_steps(train, "loss"), label="train")
        if valid:
            above.plot(*_over_steps(valid, "loss"), label="validation", marker="o", markersize=3)
        above.set_ylabel("loss (nats a prediction)")
        above.set_title(folder.name)
        above.legend()
        below.plot(*_over_steps(train, "learning_rate"))
        below.set_ylabel("learning rate")
        below.set_xlabel("optimizer step")
        for panel in (above, below):
            panel.grid(alpha=0.3)
            panel.margins(x=0.01)
        pictures.save(figure, file)


def _over_steps(lines: list[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    return [line["step"] for line in lines], [line[name] for line in lines]

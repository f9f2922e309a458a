"""What a decoder reads in training: the tokens that are due, or now and then those that it would have written.

Bengio et al. 2015, arXiv:1506.03099, section 2.4, in two passes as Duckworth et al. 2019, arXiv:1906.04331, section 3:
the first reads what is due and gives, at every place, the distribution of the next token; each token but the first is
then exchanged for one that is drawn of it, with a probability that grows along a line. The second pass trains. That
serves a Transformer, whose places are computed together, and a recurrent decoder alike.
"""

from dataclasses import replace

import torch

from attncli.nn.model import Model
from attncli.spec.tasks import Scheduled
from attncli.streams import Batch
from attncli.training.schedules import Pace


def chance(scheduled: Scheduled, pace: Pace, at: float) -> float:
    """The probability of an exchange at `at`, steps done or minutes passed: a line from 0 to `scheduled`."""
    return scheduled.scheduled * min(1.0, at / max(pace.span(scheduled.over), 1e-12))


@torch.no_grad()
def with_own_tokens(model: Model, batch: Batch, probability: float) -> Batch:
    """The batch with some tokens of `target` drawn of the model; torch's global generator decides which."""
    target = batch["target"]
    training = model.training
    model.eval()
    shares = model(batch).float().softmax(-1)
    model.train(training)
    written = torch.multinomial(shares.flatten(0, 1), 1).view(shares.shape[:2])
    own = torch.rand(target.values.shape, device=target.values.device) < probability
    follows = target.real & (target.positions > 0)
    drawn = torch.cat((target.values[:, :1], written[:, :-1]), 1)
    return {**batch, "target": replace(target, values=torch.where(own & follows, drawn, target.values))}

"""Train and save the numbers."""

import json

import torch
from torch.optim import Adam

from aevb_utils.training import fit

from model import HITS, Batting

model = Batting()
history = fit(model, HITS, optimizer=Adam(model.parameters(), lr=0.01), epochs=300, batch_size=18)
elbo = model.elbo(HITS).mean()
a, b = model.log_a.exp().item(), model.log_b.exp().item()
spread = model.q_z_given_x(HITS).mean.std()
with open("results.json", "w", encoding="utf-8") as file:
    json.dump({"loss": -elbo.item(), "a": a, "b": b, "answer_aevb": a / (a + b), "spread": spread.item()}, file)
print(-elbo.item(), a, b, a / (a + b), spread.item(), torch.__version__)

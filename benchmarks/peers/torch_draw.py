"""DRAW with attention in PyTorch, written in the usual way, with the sizes of draw/mnist-attention. A peer.

Ways: eager_T and compile_T: a training step with T glimpses.
"""

import torch
from answers import answer  # beside this script
from torch import nn
from torch.nn import functional

BATCH, SIDE, WINDOW, HIDDEN, LATENT = 100, 28, 5, 256, 10
GLIMPSES = (5, 10, 20)
WAYS = tuple(f"{kind}_{glimpses}" for glimpses in GLIMPSES for kind in ("eager", "compile"))


class Draw(nn.Module):
    def __init__(self, glimpses):
        super().__init__()
        self.glimpses = glimpses
        self.encoder = nn.LSTMCell(2 * WINDOW**2 + HIDDEN, HIDDEN)
        self.decoder = nn.LSTMCell(LATENT, HIDDEN)
        self.posterior = nn.Linear(HIDDEN, 2 * LATENT)
        self.read_window, self.write_window = nn.Linear(HIDDEN, 5), nn.Linear(HIDDEN, 5)
        self.patch = nn.Linear(HIDDEN, WINDOW**2)
        self.states = nn.Parameter(torch.zeros(4, HIDDEN))
        self.canvas = nn.Parameter(torch.zeros(SIDE, SIDE))
        self.register_buffer("offsets", torch.arange(1, WINDOW + 1) - WINDOW / 2 - 0.5)
        self.register_buffer("positions", torch.arange(1, SIDE + 1).float())

    def filters(self, parameters):
        gx, gy, log_variance, log_stride, log_gain = parameters.unsqueeze(-1).unbind(1)
        stride = (SIDE - 1) / (WINDOW - 1) * log_stride.exp()
        banks = []
        for g in (gx, gy):
            means = (SIDE + 1) / 2 * (g + 1) + stride * self.offsets
            exponents = -((self.positions - means.unsqueeze(-1)) ** 2) / (2 * log_variance.exp().unsqueeze(-1))
            banks.append(torch.softmax(exponents, dim=-1))
        return *banks, log_gain.exp()

    def read(self, x, error, h):
        columns, rows, gain = self.filters(self.read_window(h))
        seen = [(rows @ image @ columns.transpose(1, 2)).flatten(1) for image in (x, error)]
        return gain * torch.cat(seen, dim=1)

    def write(self, h):
        columns, rows, gain = self.filters(self.write_window(h))
        patch = self.patch(h).view(-1, WINDOW, WINDOW)
        return rows.transpose(1, 2) @ patch @ columns / gain.unsqueeze(-1)

    def forward(self, x, noise):
        h_enc, c_enc, h_dec, c_dec = (state.expand(len(x), -1) for state in self.states)
        canvas, kl = self.canvas.expand(len(x), -1, -1), 0.0
        for t in range(self.glimpses):
            seen = self.read(x, x - torch.sigmoid(canvas), h_dec)
            h_enc, c_enc = self.encoder(torch.cat([seen, h_dec], dim=1), (h_enc, c_enc))
            mean, log_stddev = self.posterior(h_enc).chunk(2, dim=1)
            stddev = log_stddev.exp()
            kl = kl + 0.5 * (mean**2 + stddev**2 - 2 * log_stddev - 1).sum()
            h_dec, c_dec = self.decoder(mean + stddev * noise[t], (h_dec, c_dec))
            canvas = canvas + self.write(h_dec)
        return (functional.binary_cross_entropy_with_logits(canvas, x, reduction="sum") + kl) / len(x)


def prepare(way):
    torch.manual_seed(0)
    kind, glimpses = way.split("_")
    network = Draw(int(glimpses))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    called = torch.compile(network) if kind == "compile" else network
    data = (torch.rand(1000, SIDE, SIDE) > 0.8).float()

    def step():
        x = data[torch.randint(len(data), (BATCH,))]
        optimizer.zero_grad()
        called(x, torch.randn(network.glimpses, BATCH, LATENT)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)  # cheaper here than of each tensor, as the preset has it
        optimizer.step()

    return step, {}


if __name__ == "__main__":
    answer(prepare, WAYS)

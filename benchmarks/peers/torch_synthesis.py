"""DGN-AM, projections by L-BFGS and FractalNet in PyTorch, written in the usual way. A peer.

Ways: WORK_KIND. Of climb, a step is 64 chains of 200 ascents in one batch; of project, 64 projections of 200 iterations of
L-BFGS; of fractal, a step of training. Kinds: eager; compile, the networks through `torch.compile`; channels_last, eager
mode with that memory format. The projections of eager and compile are one problem of 64 x 100 numbers with one line search,
which is the shortest way to write them; in rows, each image is a problem of its own, and a step is an eighth of them.
"""

import math

import torch
from answers import answer  # beside this script
from torch import nn
from torch.nn import functional
from torch_gan import LATENT
from torch_gan import generator as dcgan

ROWS, STEPS, BATCH = 64, 200, 100
KINDS = {
    "climb": ("eager", "compile", "channels_last"), "project": ("eager", "compile", "rows"),
    "fractal": ("eager", "compile", "channels_last"),
}  # fmt: skip
WAYS = tuple(f"{name}_{kind}" for name in KINDS for kind in KINDS[name])
FILTERS, RATES, COLUMNS, DROP = (16, 32, 64, 128, 128), (0.0, 0.1, 0.2, 0.3, 0.4), 3, 0.15


def random_weights(network):
    """N(0, 2 / inputs of a unit) for all kernels, 0 for their biases, N(0, .25) for the shifts of batch norm."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d) and part.affine:
            nn.init.normal_(part.bias, 0.0, 0.5)
        if isinstance(part, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            shape = part.weight.shape
            inputs = shape[0] * shape[2] * shape[3] / 4 if isinstance(part, nn.ConvTranspose2d) else shape[1:].numel()
            nn.init.normal_(part.weight, 0.0, math.sqrt(2.0 / inputs))
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return network


def fixed(network):
    return random_weights(network).eval().requires_grad_(False)


# ---- DGN-AM


def code_generator():
    return nn.Sequential(
        nn.Linear(128, 256), nn.LeakyReLU(0.3), nn.Linear(256, 7 * 7 * 64), nn.LeakyReLU(0.3), nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.LeakyReLU(0.3), nn.Conv2d(64, 32, 3, padding=1), nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Sigmoid(),
    )  # fmt: skip


def classifier():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(7 * 7 * 64, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def climb(kind):
    layout = torch.channels_last if kind == "channels_last" else torch.contiguous_format
    both = fixed(nn.Sequential(code_generator(), classifier())).to(memory_format=layout)
    run = torch.compile(both) if kind == "compile" else both
    units, bound = (torch.arange(ROWS) % 10)[:, None], torch.full([128], 3.0)

    def step():
        code = torch.randn(ROWS, 128)
        for i in range(STEPS):
            code.requires_grad_(True)
            gradient = torch.autograd.grad(run(code).gather(1, units).sum(), code)[0]
            with torch.no_grad():
                gradient = gradient / gradient.abs().mean(dim=1, keepdim=True)
                code = 0.99 * (code + (1.0 - i / STEPS) * gradient).clamp(min=torch.zeros(128), max=bound)
        with torch.no_grad():
            both[0](code).numpy()

    return step, {}


# ---- projections


def project(kind):
    network = fixed(dcgan())
    run = torch.compile(network) if kind == "compile" else network
    with torch.no_grad():
        images = (network(2.0 * torch.rand(ROWS, LATENT) - 1.0) + 1.0) / 2.0
    start = ((network(torch.zeros(ROWS, LATENT)) + 1.0) / 2.0 - images).square().mean()

    def search(images):
        free = torch.zeros(len(images), LATENT, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [free], max_iter=STEPS, history_size=10, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
        )

        def cost():
            optimizer.zero_grad()
            error = ((run(torch.tanh(free)) + 1.0) / 2.0 - images).square().mean(dim=(1, 2, 3)).sum()
            error.backward()
            return error

        optimizer.step(cost)
        return float(cost().detach()) / len(images)

    facts = {}

    def step():
        parts = images[: ROWS // 8].split(1) if kind == "rows" else [images]
        facts["reached"] = sum(search(part) for part in parts) / len(parts) / float(start)

    return step, facts


# ---- FractalNet


class Conv(nn.Module):
    """Convolution, dropout, batch norm with statistics of its own for columns alone, ReLU."""

    def __init__(self, before, after, rate):
        super().__init__()
        self.conv, self.rate = nn.Conv2d(before, after, 3, padding=1), rate
        self.norms = nn.ModuleList(nn.BatchNorm2d(after, affine=False) for _ in range(2))

    def forward(self, x, alone):
        x = self.conv(x)
        x = functional.dropout(x, self.rate, self.training) if self.rate else x
        return functional.relu(self.norms[alone](x))


def join(inputs):
    keep = torch.rand(len(inputs)) >= DROP
    if not keep.any():
        keep[torch.randint(len(inputs), ())] = True
    kept = [x for x, kept in zip(inputs, keep.tolist(), strict=True) if kept]
    return sum(kept) / len(kept)


class Fractal(nn.Module):
    """Three columns in five blocks; local drop-path of joins, or one column."""

    def __init__(self):
        super().__init__()
        self.columns, before = nn.ModuleList(), 3
        for after, rate in zip(FILTERS, RATES, strict=True):
            self.columns.append(
                nn.ModuleList(
                    nn.ModuleList(Conv(after if i else before, after, rate) for i in range(2**c)) for c in range(COLUMNS)
                )
            )
            before = after
        self.classes = nn.Linear(before, 10)

    def forward(self, x, column=None):
        for block in self.columns:
            x = self.joined(block, x) if column is None else self.alone(block[column], x)
        return self.classes(x.mean(dim=(2, 3)))

    def alone(self, convs, x):
        for conv in convs:
            x = conv(x, 1)
        return functional.max_pool2d(x, 2)

    def joined(self, block, x):
        state, last = [x] * COLUMNS, 2 ** (COLUMNS - 1)
        for i in range(1, last + 1):
            ending = [c for c in range(COLUMNS) if i % 2 ** (COLUMNS - 1 - c) == 0]
            for c in ending:
                state[c] = block[c][i // 2 ** (COLUMNS - 1 - c) - 1](state[c], 0)
                if i == last:
                    state[c] = functional.max_pool2d(state[c], 2)
            if len(ending) > 1:
                together = join([state[c] for c in ending])
                for c in ending:
                    state[c] = together
        return state[-1]


def fractal(kind):
    layout = torch.channels_last if kind == "channels_last" else torch.contiguous_format
    network = random_weights(Fractal()).to(memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    if kind == "compile":
        # Which inputs a join keeps is data: each conv is compiled, since the whole would be compiled for each choice.
        for part in network.modules():
            if isinstance(part, Conv):
                part.compile()
    images, labels = torch.rand(10_000, 3, 32, 32), torch.randint(10, (10_000,))

    def step():
        places = torch.randint(len(images), (BATCH,))
        x = images[places].to(memory_format=layout)
        column = int(torch.randint(COLUMNS, ())) if torch.rand(()) < 0.5 else None
        optimizer.zero_grad()
        functional.cross_entropy(network(x, column), labels[places]).backward()
        optimizer.step()

    return step, {"parameters": sum(p.numel() for p in network.parameters())}


def prepare(way):
    """(a function that runs one step, facts that go with its times)"""
    torch.manual_seed(0)
    name, _, kind = way.partition("_")
    return {"climb": climb, "project": project, "fractal": fractal}[name](kind)


if __name__ == "__main__":
    answer(prepare, WAYS)

"""The networks of pixel-cnn/mnist, gated-pixel-cnn/mnist and pixel-rnn/mnist in PyTorch, written in the usual way. A peer.

Ways: NETWORK_train_eager and NETWORK_train_compile: a training step. NETWORK_naive: one pixel of 16 images, by a call of the
    whole network. Masked kernels are kernels times masks. The LSTM is a loop over diagonals for each direction.
"""

import torch
from answers import answer  # beside this script
from torch import nn
from torch.nn import functional

BATCH, IMAGES, SIDE = 32, 16, 28
THREE = ("pixel_cnn", "gated", "diagonal")
WAYS = tuple(f"{name}_{kind}" for name in THREE for kind in ("train_eager", "train_compile", "naive"))


class MaskedConv(nn.Conv2d):
    def __init__(self, kind, before, after, size):
        super().__init__(before, after, size, padding=size // 2)
        mask = torch.ones_like(self.weight)
        mask[:, :, size // 2, size // 2 + (kind == "B") :] = 0
        mask[:, :, size // 2 + 1 :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.mask, self.bias)


def head(channels, width=32):
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, 1, 1)
    )


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(2 * width, width, 1), nn.ReLU(), MaskedConv("B", width, width, 3),
            nn.ReLU(), nn.Conv2d(width, 2 * width, 1),
        )  # fmt: skip

    def forward(self, x):
        return x + self.layers(x)


def pixel_cnn(width=32, depth=7):
    return nn.Sequential(MaskedConv("A", 1, 2 * width, 7), *(Block(width) for _ in range(depth)), head(2 * width))


def gate(x):
    a, b = x.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


class GatedLayer(nn.Module):
    def __init__(self, before, width, size, first):
        super().__init__()
        self.half, self.first = size // 2, first
        self.vertical = nn.Conv2d(before, 2 * width, (self.half + 1, size))
        # The first layer does not see the pixel itself: its kernel covers only the pixels to the left.
        self.horizontal = nn.Conv2d(before, 2 * width, (1, self.half + (not first)))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, v, h):
        half = self.half
        v = self.vertical(functional.pad(v, (half, half, half, 0)))
        left = functional.pad(h, (half, 0, 0, 0))
        u = self.horizontal(left[..., :-1] if self.first else left)
        u = self.out(gate(u + self.link(v)))
        return gate(v), u if self.first else h + u


class Gated(nn.Module):
    def __init__(self, width=20, depth=10):
        super().__init__()
        self.layers = nn.ModuleList(GatedLayer(width if i else 1, width, 3 if i else 7, first=not i) for i in range(depth))
        self.head = head(width)

    def forward(self, x):
        v, h = functional.pad(x, (0, 0, 1, 0))[:, :, :-1], x
        for layer in self.layers:
            v, h = layer(v, h)
        return self.head(h)


class DiagonalLSTM(nn.Module):
    def __init__(self, before, width):
        super().__init__()
        self.width = width
        self.input_to_state = nn.Conv2d(before, 4 * width, 1)
        self.state_to_state = nn.Conv1d(width, 4 * width, 2)

    def forward(self, x):
        x = self.input_to_state(x)
        batch, channels, height, width = x.shape
        skewed = x.new_zeros(batch, channels, height, width + height - 1)
        for i in range(height):
            skewed[:, :, i, i : i + width] = x[:, :, i]
        h = c = x.new_zeros(batch, self.width, height)
        columns = []
        for t in range(skewed.shape[-1]):
            gates = skewed[..., t] + self.state_to_state(functional.pad(h, (1, 0)))
            o, f, i, g = gates.chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            columns.append(h)
        found = torch.stack(columns, dim=-1)
        return torch.stack([found[:, :, i, i : i + width] for i in range(height)], dim=2)


class DiagonalBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.rightward, self.leftward = DiagonalLSTM(2 * width, width), DiagonalLSTM(2 * width, width)
        self.widen = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x):
        leftward = self.leftward(x.flip(3)).flip(3)
        return x + self.widen(self.rightward(x) + functional.pad(leftward, (0, 0, 1, 0))[:, :, :-1])


def diagonal(width=16, depth=2):
    return nn.Sequential(MaskedConv("A", 1, 2 * width, 7), *(DiagonalBlock(width) for _ in range(depth)), head(2 * width))


def prepare(way):
    torch.manual_seed(0)
    name = next(name for name in THREE if way.startswith(name))
    network = {"pixel_cnn": pixel_cnn, "gated": Gated, "diagonal": diagonal}[name]()
    step = naive(network) if way.endswith("naive") else training(network, compiled=way.endswith("compile"))
    return step, {}


def training(network, compiled):
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    called = torch.compile(network) if compiled else network
    data = (torch.rand(1000, 1, SIDE, SIDE) > 0.8).float()
    loss = nn.BCEWithLogitsLoss()

    def step():
        images = data[torch.randint(len(data), (BATCH,))]
        optimizer.zero_grad()
        loss(called(2.0 * images - 1.0), images).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def naive(network):
    images, place = torch.zeros(IMAGES, 1, SIDE, SIDE), [0]

    @torch.no_grad()
    def step():
        row, column = divmod(place[0] % SIDE**2, SIDE)
        logits = network(2.0 * images - 1.0)[:, 0, row, column]
        images[:, 0, row, column] = torch.bernoulli(torch.sigmoid(logits))
        place[0] += 1

    return step


if __name__ == "__main__":
    answer(prepare, WAYS)

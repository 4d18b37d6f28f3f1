"""StyleGAN at 32 pixels, BigGAN at 28 and SNGAN's residual networks at 32 in PyTorch, written in the usual way. A peer.

Ways: MODEL_eager, MODEL_compile, both networks through `torch.compile`, and MODEL_channels_last, eager mode with that memory
format; MODEL is style, big or sngan. A step is an update of the discriminator, and in every `TURN`th step one of the
generator, as in the presets. Spectral norms are PyTorch's, with one power iteration in each call in training.
"""

import torch
from answers import answer  # beside this script
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

BATCH = 64
TURN = {"style": 1, "big": 2, "sngan": 5}
WAYS = tuple(f"{name}_{kind}" for name in TURN for kind in ("eager", "compile", "channels_last"))


# ---- StyleGAN: 4 -> 32 px, RGB, 64 filters, z and w of 64, four layers of mapping, R1 with gamma 1 in each step


class Equalized(nn.Module):
    """A dense layer (size 0) or a convolution whose kernel is scaled in each call."""

    def __init__(self, before, after, size=0, gain=2**0.5, lrmul=1.0, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, *[size] * (2 if size else 0)) / lrmul)
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None
        self.scale, self.lrmul, self.size = lrmul * gain / (before * max(size, 1) ** 2) ** 0.5, lrmul, size

    def forward(self, x):
        bias = None if self.bias is None else self.bias * self.lrmul
        if self.size:
            return functional.conv2d(x, self.weight * self.scale, bias, padding=self.size // 2)
        return functional.linear(x, self.weight * self.scale, bias)


def blur(x):
    """[1, 2, 1] x [1, 2, 1] / 16 by sums, since a second derivative of a grouped convolution is very slow on CPUs."""
    x = functional.pad(x, (1, 1, 1, 1))
    x = 0.25 * x[:, :, :-2] + 0.5 * x[:, :, 1:-1] + 0.25 * x[:, :, 2:]
    return 0.25 * x[..., :-2] + 0.5 * x[..., 1:-1] + 0.25 * x[..., 2:]


def leaky(x):
    return functional.leaky_relu(x, 0.2)


class Styled(nn.Module):
    def __init__(self, width, side, source):
        super().__init__()
        self.source = source
        self.constant = nn.Parameter(torch.ones(1, width, 4, 4)) if source == "constant" else None
        self.conv = None if source == "constant" else Equalized(width, width, 3, bias=False)
        self.noise = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.style, self.side = Equalized(64, 2 * width, gain=1.0), side

    def forward(self, x, w):
        if self.constant is not None:
            x = self.constant.expand(len(w), -1, -1, -1)
        else:
            if self.source == "up":
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = self.conv(x)
            x = blur(x) if self.source == "up" else x
        x = leaky(x + self.noise * torch.randn(len(w), 1, self.side, self.side) + self.bias)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return functional.instance_norm(x, eps=1e-8) * (1.0 + scale) + shift


class StyleGenerator(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.mapping = nn.ModuleList(Equalized(64, 64, lrmul=0.01) for _ in range(4))
        sides = (4, 8, 16, 32)
        sources = [(side, source) for side in sides for source in ("up" if side > 4 else "constant", None)]
        self.layers = nn.ModuleList(Styled(width, *one) for one in sources)
        self.to_image = Equalized(width, 3, 1, gain=1.0)

    def styles(self, z):
        z = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            z = leaky(layer(z))
        return z

    def forward(self, z, other, cutoff):
        of_first, x = torch.arange(len(self.layers))[:, None, None] < cutoff, None
        for layer, w in zip(self.layers, torch.where(of_first, self.styles(z), self.styles(other)), strict=True):
            x = layer(x, w)
        return self.to_image(x)


class StyleDiscriminator(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.from_image = Equalized(3, width, 1)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Equalized(width, width, 3), Equalized(width, width, 3, bias=False)]) for _ in range(3)
        )
        self.biases = nn.ParameterList(torch.zeros(1, width, 1, 1) for _ in range(3))
        self.conv, self.dense = Equalized(width + 1, width, 3), Equalized(16 * width, width)
        self.logit = Equalized(width, 1, gain=1.0)

    def forward(self, x):
        x = leaky(self.from_image(x))
        for (conv, down), bias in zip(self.blocks, self.biases, strict=True):
            x = leaky(functional.avg_pool2d(down(blur(leaky(conv(x)))), 2) + bias)
        n, c, h, w = x.shape
        spread = torch.sqrt(x.reshape(4, n // 4, c, h, w).var(0, unbiased=False) + 1e-8).mean((1, 2, 3))
        x = torch.cat([x, spread.repeat(4)[:, None, None, None].expand(n, 1, h, w)], dim=1)
        return self.logit(leaky(self.dense(leaky(self.conv(x)).flatten(1))))


# ---- residual networks of SNGAN and BigGAN


def up(x):
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class LinearNorm(nn.Module):
    """Batch norm, whose gain and shift are linear in a condition; without one they are learnt."""

    def __init__(self, channels, condition):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not condition)
        num = 2 if condition else 0
        self.maps = nn.ModuleList(spectral_norm(nn.Linear(condition, channels, bias=False)) for _ in range(num))

    def forward(self, x, condition=None):
        x = self.norm(x)
        if not len(self.maps):
            return x
        gain, shift = (layer(condition)[:, :, None, None] for layer in self.maps)
        return x * (1.0 + gain) + shift


class UpBlock(nn.Module):
    def __init__(self, width, condition, wrap):
        super().__init__()
        self.norms = nn.ModuleList(LinearNorm(width, condition) for _ in range(2))
        self.convs = nn.ModuleList(wrap(nn.Conv2d(width, width, 3, padding=1)) for _ in range(2))
        self.shortcut = wrap(nn.Conv2d(width, width, 1))

    def forward(self, x, condition=None):
        h = self.convs[0](up(functional.relu(self.norms[0](x, condition))))
        return self.convs[1](functional.relu(self.norms[1](h, condition))) + up(self.shortcut(x))


class Generator(nn.Module):
    """z -> grid -> blocks -> image; with `chunk` each block has a part of z and the embedded class."""

    def __init__(self, *, grid, stages, latent, channels, width=64, chunk=0, classes=0, wrap=nn.Sequential):
        super().__init__()
        self.grid, self.chunk, self.width = grid, chunk, width
        self.embedding = nn.Linear(classes, 32, bias=False) if classes else None
        self.dense = wrap(nn.Linear(chunk or latent, width * grid * grid))
        condition = chunk + 32 if chunk else 0
        self.blocks = nn.ModuleList(UpBlock(width, condition, wrap) for _ in range(stages))
        self.norm, self.out = nn.BatchNorm2d(width), wrap(nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, z, one_hot=None):
        parts = z.split(self.chunk, 1) if self.chunk else [z] + [None] * len(self.blocks)
        x = self.dense(parts[0]).reshape(-1, self.width, self.grid, self.grid)
        for block, part in zip(self.blocks, parts[1:], strict=True):
            x = block(x, None if part is None else torch.cat([self.embedding(one_hot), part], 1))
        return torch.tanh(self.out(functional.relu(self.norm(x))))


class DownBlock(nn.Module):
    def __init__(self, before, after, pool, first):
        super().__init__()
        self.pool, self.first = pool, first
        self.convs = nn.ModuleList(spectral_norm(nn.Conv2d(n, after, 3, padding=1)) for n in (before, after))
        self.shortcut = spectral_norm(nn.Conv2d(before, after, 1)) if pool or before != after else None

    def forward(self, x):
        def pool(x):
            return functional.avg_pool2d(x, 2, ceil_mode=True) if self.pool else x

        h = pool(self.convs[1](functional.relu(self.convs[0](x if self.first else functional.relu(x)))))
        return h + (x if self.shortcut is None else self.shortcut(pool(x)))


class Discriminator(nn.Module):
    def __init__(self, *, channels, classes=0, width=64, downs=2, bias):
        super().__init__()
        widths = [channels] + [width] * 4
        self.blocks = nn.ModuleList(DownBlock(widths[i], width, i < downs, i == 0) for i in range(4))
        self.logit = spectral_norm(nn.Linear(width, 1, bias=bias))
        self.classes = spectral_norm(nn.Embedding(classes, width)) if classes else None

    def forward(self, x, label=None):
        for block in self.blocks:
            x = block(x)
        x = functional.relu(x).sum((2, 3))
        logit = self.logit(x)
        return logit if label is None else logit + (self.classes(label) * x).sum(1, keepdim=True)


# ---- the steps


def networks(name):
    """(generator, discriminator, width of z, shape of the images)"""
    if name == "style":
        return StyleGenerator(), StyleDiscriminator(), 64, (3, 32, 32)
    if name == "big":
        g = Generator(grid=7, stages=2, latent=24, channels=1, chunk=8, classes=10, wrap=spectral_norm)
        return g, Discriminator(channels=1, classes=10, bias=True), 24, (1, 28, 28)
    return Generator(grid=4, stages=3, latent=128, channels=3), Discriminator(channels=3, bias=False), 128, (3, 32, 32)


def orthogonal(network):
    """BigGAN's term of all kernels but the embedding's."""
    total = 0.0
    for name, kernel in network.named_parameters():
        if kernel.ndim > 1 and not name.startswith("embedding"):
            rows = kernel.flatten(1)
            product = rows @ rows.T
            total = total + (product - torch.diag(torch.diag(product))).square().sum()
    return 1e-4 * total


def prepare(way):
    """(a function that runs one step, {"parameters": number of trainable parameters})"""
    torch.manual_seed(0)
    name, _, kind = way.partition("_")
    g, d, latent, shape = networks(name)
    parameters = [sum(p.numel() for p in network.parameters()) for network in (g, d)]
    layout = torch.channels_last if kind == "channels_last" else torch.contiguous_format
    g, d = g.to(memory_format=layout), d.to(memory_format=layout)
    of_g, of_d = (torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.0, 0.99)) for network in (g, d))
    mine = g
    if kind == "compile":
        g, d = torch.compile(g), torch.compile(d)
    data, labels = torch.rand(10_000, *shape) * 2 - 1, torch.randint(10, (10_000,))
    steps = iter(range(1 << 62))

    def fakes(num):
        z = torch.randn(num, latent)
        if name == "style":
            return g(z, torch.randn(num, latent), torch.randint(1, 8, ())), None
        label = torch.randint(10, (num,)) if name == "big" else None
        return g(z) if label is None else g(z, functional.one_hot(label, 10).float()), label

    def score(images, label):
        return d(images) if label is None else d(images, label)

    def step():
        at = torch.randint(len(data), (BATCH,))
        real, label = data[at].to(memory_format=layout), labels[at] if name == "big" else None
        if name == "style":
            real.requires_grad_()
        with torch.no_grad():
            fake, drawn = fakes(BATCH)
        of_d.zero_grad()
        on_real, on_fake = score(real, label), score(fake, drawn)
        if name == "style":
            (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            loss = functional.softplus(-on_real).mean() + functional.softplus(on_fake).mean()
            loss = loss + 0.5 * slope.square().sum((1, 2, 3)).mean()
        else:
            loss = functional.relu(1 - on_real).mean() + functional.relu(1 + on_fake).mean()
        loss.backward()
        of_d.step()
        if (next(steps) + 1) % TURN[name]:
            return
        of_g.zero_grad()
        images, drawn = fakes(2 * BATCH if name == "sngan" else BATCH)
        logit = score(images, drawn)
        loss = functional.softplus(-logit).mean() if name == "style" else -logit.mean()
        if name == "big":
            loss = loss + orthogonal(mine)
        loss.backward()
        of_g.step()

    return step, {"parameters": parameters}


if __name__ == "__main__":
    answer(prepare, WAYS)

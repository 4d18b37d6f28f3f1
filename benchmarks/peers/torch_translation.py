"""pix2pix and CycleGAN at 32 pixels in PyTorch, written in the usual way. A peer.

Ways: MODEL_eager, MODEL_compile, all networks through `torch.compile`, and MODEL_channels_last, eager mode with that memory
format; MODEL is pix2pix or cycle. A step is an update of all networks. The generator of pix2pix runs once in a step, and its
discriminator has no gradient in the generator's update.
"""

import itertools
import random

import torch
from answers import answer  # beside this script
from torch import nn
from torch.nn import functional

BATCH = {"pix2pix": 16, "cycle": 4}
WAYS = tuple(f"{name}_{kind}" for name in BATCH for kind in ("eager", "compile", "channels_last"))
POOL = 50


def normal(network):
    """N(0, .02^2) for all kernels, 0 for their biases."""
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(part.weight, 0.0, 0.02)
            nn.init.zeros_(part.bias)
    return network


class UNet(nn.Module):
    """Five levels of 16 to 128 filters; dropout in the three innermost of the decoder."""

    def __init__(self, channels=1, filters=(16, 32, 64, 128, 128)):
        super().__init__()
        befores, last = (channels, *filters[:-1]), len(filters) - 1
        self.downs = nn.ModuleList(
            nn.Conv2d(before, after, 4, 2, 1) for before, after in zip(befores, filters, strict=True)
        )
        self.down_norms = nn.ModuleList(nn.BatchNorm2d(n) if 0 < i < last else nn.Identity() for i, n in enumerate(filters))
        afters = (*reversed(filters[:-1]), channels)
        inputs = (filters[-1], *(2 * n for n in afters[:-1]))
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, 2, 1) for before, after in zip(inputs, afters, strict=True)
        )
        self.up_norms = nn.ModuleList(nn.BatchNorm2d(n) for n in afters[:-1])

    def forward(self, x):
        maps = []
        for i, (conv, norm) in enumerate(zip(self.downs, self.down_norms, strict=True)):
            x = norm(conv(functional.leaky_relu(x, 0.2) if i else x))
            maps.append(x)
        maps.pop()
        for i, (conv, norm) in enumerate(zip(self.ups, self.up_norms, strict=False)):
            x = norm(conv(functional.relu(x)))
            x = functional.dropout(x, 0.5, self.training) if i < 3 else x
            x = torch.cat([x, maps.pop()], dim=1)
        return torch.tanh(self.ups[-1](functional.relu(x)))


class ResidualBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        pads = {"padding": 1, "padding_mode": "reflect"}
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, **pads) for _ in range(2))

    def forward(self, x):
        h = functional.relu(functional.instance_norm(self.convs[0](x)))
        return x + functional.instance_norm(self.convs[1](h))


def residual(channels=1, width=16, blocks=3):
    """c7s1-16, d32, d64, R64 x 3, u32, u16, c7s1-1."""
    steps = [nn.Conv2d(channels, width, 7, padding=3, padding_mode="reflect"), nn.InstanceNorm2d(width), nn.ReLU()]
    for n in (width, 2 * width):
        steps += [nn.Conv2d(n, 2 * n, 3, 2, 1), nn.InstanceNorm2d(2 * n), nn.ReLU()]
    steps += [ResidualBlock(4 * width) for _ in range(blocks)]
    for n in (4 * width, 2 * width):
        steps += [nn.ConvTranspose2d(n, n // 2, 3, 2, 1, 1), nn.InstanceNorm2d(n // 2), nn.ReLU()]
    return nn.Sequential(*steps, nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect"), nn.Tanh())


def patches(channels, norm, width=16):
    """Patches of 34 pixels: two convolutions of stride 2."""
    steps = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for before, after, stride in ((width, 2 * width, 2), (2 * width, 4 * width, 1)):
        steps += [nn.Conv2d(before, after, 4, stride, 1), norm(after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*steps, nn.Conv2d(4 * width, 1, 4, 1, 1))


class Pool:
    """The last images, of which half of those that a discriminator sees are drawn."""

    def __init__(self):
        self.images = []

    def exchange(self, images):
        shown = []
        for image in images.detach():
            if len(self.images) < POOL:
                self.images.append(image)
                shown.append(image)
            elif random.random() > 0.5:
                place = random.randrange(POOL)
                shown.append(self.images[place])
                self.images[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)


def trained(networks, on):
    for network in networks:
        for parameter in network.parameters():
            parameter.requires_grad_(on)


def pix2pix(g, d, of_g, of_d, x, y):
    fake = g(x)
    trained([d], True)
    of_d.zero_grad()
    on_real, on_fake = d(torch.cat([x, y], 1)), d(torch.cat([x, fake.detach()], 1))
    (functional.softplus(-on_real).mean() + functional.softplus(on_fake).mean()).backward()
    of_d.step()
    trained([d], False)
    of_g.zero_grad()
    judged = functional.softplus(-d(torch.cat([x, fake], 1))).mean()
    (judged + 100.0 * functional.l1_loss(fake, y)).backward()
    of_g.step()


def cycle(to_b, to_a, d_a, d_b, of_g, of_d, pools, a, b):
    def real(logits):
        return (logits - 1.0).square().mean()

    fake_b, fake_a = to_b(a), to_a(b)
    trained([d_a, d_b], False)
    of_g.zero_grad()
    loss = real(d_a(fake_a)) + real(d_b(fake_b))
    loss = loss + 10.0 * (functional.l1_loss(to_a(fake_b), a) + functional.l1_loss(to_b(fake_a), b))
    loss = loss + 5.0 * (functional.l1_loss(to_a(a), a) + functional.l1_loss(to_b(b), b))
    loss.backward()
    of_g.step()
    trained([d_a, d_b], True)
    of_d.zero_grad()
    for d, image, fake, pool in ((d_a, a, fake_a, pools[0]), (d_b, b, fake_b, pools[1])):
        (0.5 * (real(d(image)) + d(pool.exchange(fake)).square().mean())).backward()
    of_d.step()


def prepare(way):
    """(a function that runs one step, {"parameters": number of parameters of each network})"""
    torch.manual_seed(0)
    random.seed(0)
    name, _, kind = way.partition("_")
    if name == "pix2pix":
        networks = [UNet(), patches(2, nn.BatchNorm2d)]
    else:
        networks = [residual(), residual(), patches(1, nn.InstanceNorm2d), patches(1, nn.InstanceNorm2d)]
    layout = torch.channels_last if kind == "channels_last" else torch.contiguous_format
    networks = [normal(network).to(memory_format=layout) for network in networks]
    parameters = [sum(p.numel() for p in network.parameters()) for network in networks]
    half = len(networks) // 2
    of_g, of_d = (
        torch.optim.Adam(itertools.chain(*(one.parameters() for one in part)), lr=2e-4, betas=(0.5, 0.999))
        for part in (networks[:half], networks[half:])
    )
    if kind == "compile":
        networks = [torch.compile(network) for network in networks]
    first, second = (torch.rand(10_000, 1, 32, 32) * 2 - 1 for _ in range(2))
    pools = Pool(), Pool()

    def step():
        places = torch.randint(len(first), (2, BATCH[name]))
        x, y = (data[at].to(memory_format=layout) for data, at in zip((first, second), places, strict=True))
        if name == "pix2pix":
            pix2pix(*networks, of_g, of_d, x, y)
        else:
            cycle(*networks, of_g, of_d, pools, x, y)

    return step, {"parameters": parameters}


if __name__ == "__main__":
    answer(prepare, WAYS)

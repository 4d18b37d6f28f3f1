"""The networks and the training step of the preset dcgan/mnist in PyTorch, written in the usual way. A peer.

Ways: "eager"; "compile", both networks through `torch.compile`; "channels_last", eager mode with that memory format. Each
update of discriminator and generator has its own noise, as in algorithm 1 of Goodfellow et al. 2014. The ways that end in
"_reuse" train both on the same generated images, as in PyTorch's own example, which saves a pass through the generator.
"""

import torch
from answers import answer  # beside this script
from torch import nn

BATCH, LATENT, WIDTH, DENSE = 64, 100, 32, 256
WAYS = ("eager", "compile", "channels_last", "eager_reuse", "compile_reuse")


def generator():
    def up(before, after, **kwargs):
        return nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1, bias=False, **kwargs)

    return nn.Sequential(
        nn.Linear(LATENT, DENSE, bias=False), nn.BatchNorm1d(DENSE), nn.ReLU(),
        nn.Linear(DENSE, 2 * WIDTH * 7 * 7, bias=False), nn.BatchNorm1d(2 * WIDTH * 7 * 7), nn.ReLU(),
        nn.Unflatten(1, (2 * WIDTH, 7, 7)),
        up(2 * WIDTH, WIDTH), nn.BatchNorm2d(WIDTH), nn.ReLU(),
        up(WIDTH, 1), nn.Tanh(),
    )  # fmt: skip


def discriminator():
    def down(before, after):
        return nn.Conv2d(before, after, 5, stride=2, padding=2, bias=False)

    return nn.Sequential(
        down(1, WIDTH), nn.LeakyReLU(0.2),
        down(WIDTH, 2 * WIDTH), nn.BatchNorm2d(2 * WIDTH), nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(2 * WIDTH * 7 * 7, DENSE, bias=False), nn.BatchNorm1d(DENSE), nn.LeakyReLU(0.2),
        nn.Linear(DENSE, 1, bias=False),
    )  # fmt: skip


def init(module):
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        nn.init.normal_(module.weight, 1.0, 0.02)


def prepare(way):
    """(a function that runs one training step, {"parameters": number of trainable parameters})"""
    torch.manual_seed(0)
    g, d = generator().apply(init), discriminator().apply(init)
    parameters = sum(p.numel() for network in (g, d) for p in network.parameters())
    layout = torch.channels_last if way == "channels_last" else torch.contiguous_format
    g, d = g.to(memory_format=layout), d.to(memory_format=layout)
    g_optimizer = torch.optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_optimizer = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    if way.startswith("compile"):
        g, d = torch.compile(g), torch.compile(d)
    data = torch.rand(20_000, 1, 28, 28) * 2 - 1
    loss, ones, zeros = nn.BCEWithLogitsLoss(), torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def noise():
        return torch.rand(BATCH, LATENT) * 2 - 1

    def step():
        real = data[torch.randint(len(data), (BATCH,))].to(memory_format=layout)
        fake = g(noise())
        d_optimizer.zero_grad()
        d_loss = loss(d(real), ones) + loss(d(fake.detach()), zeros)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = loss(d(fake if way.endswith("_reuse") else g(noise())), ones)
        g_loss.backward()
        g_optimizer.step()

    return step, {"parameters": parameters}


if __name__ == "__main__":
    answer(prepare, WAYS)

"""Which update of every adversarial model of the registry reaches which weights."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.registry import CASES
from tfgen.models.adversarial.base import AdversarialModel

NAMES = sorted(name for name, case in CASES.items() if issubclass(case.model, AdversarialModel))


@pytest.fixture(params=NAMES)
def model(request):
    model = CASES[request.param].build()
    model.compile()
    object.__setattr__(model, "case", CASES[request.param])
    return model


def update(model, *, generator=False, discriminator=False):
    """One step on the case's batch, of one network only."""
    if not discriminator:
        model.update_discriminator = lambda *args, **kwargs: {}
    if not generator:
        model.update_generator = lambda *args, **kwargs: {}
    model.update(model.as_batch({name: tf.convert_to_tensor(value) for name, value in model.case.batch().items()}))


def moved(model, step):
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    before = {name: [v.numpy() for v in network.trainable_variables] for name, network in networks.items()}
    step()
    return {
        name: [bool(np.any(v.numpy() != old)) for v, old in zip(network.trainable_variables, before[name], strict=True)]
        for name, network in networks.items()
    }


def test_the_discriminators_update_leaves_the_generator(model):
    found = moved(model, lambda: update(model, discriminator=True))
    assert not any(found["generator"])
    assert any(found["discriminator"])


def test_the_generators_update_leaves_the_discriminator(model):
    found = moved(model, lambda: update(model, generator=True))
    assert not any(found["discriminator"])
    assert any(found["generator"])


def test_fakes_of_the_discriminators_update_carry_no_gradient(model):
    """Nothing that the discriminator minimises depends on the generator's weights, other than through numbers."""
    seen = []
    discriminate = model.discriminate

    def spy(raw_images, *args, **kwargs):
        seen.append(raw_images)
        return discriminate(raw_images, *args, **kwargs)

    model.discriminate = spy
    with tf.GradientTape() as tape:
        tape.watch([v.value for v in model.generator.trainable_variables])
        update(model, discriminator=True)
        total = tf.add_n([tf.reduce_sum(images) for images in seen])
    gradients = tape.gradient(total, [v.value for v in model.generator.trainable_variables])
    assert all(g is None for g in gradients)

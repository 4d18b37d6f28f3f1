"""A resumed run ends as one that was never interrupted, and training is the same however many steps one call has."""


from tests.conformance.harness import STEPS, assert_close, assert_equal, for_cases, resumed, train, weights
from tests.owned import owned_variables


# Every family; a network with moving averages of images; steps of several kinds; statistics of codes; frozen networks;
# pools of images.
@for_cases(
    quick=(
        "cycle-gan", "dcgan", "dfc-vae", "dc-ign", "factorized-prior", "glimpse-classifier",
        "improved-gan-virtual-batch-norm", "pixel-cnn-autoencoder", "vae-gan", "vae-mlp-bernoulli", "wgan",
    )
)  # fmt: skip
def test_resumed_training_equals_uninterrupted(run):
    second = resumed(run)
    train(second, run.case, STEPS // 2)
    assert set(weights(run.model)) == set(weights(second))
    assert_equal(owned_variables(run.model), owned_variables(second))  # all there is, whatever state() says


# One network; two players; steps of several kinds; growth; stages. The others have the same loop around them.
@for_cases(
    quick=("sngan", "vae-mlp-bernoulli", "wgan"),
    only=("progressive-gan", "sngan", "sngan-adaptive-lecam", "stack-gan", "vae-mlp-bernoulli", "vid2vid", "wgan"),
)
def test_resumed_training_equals_uninterrupted_with_many_steps_in_one_call(run):
    second = resumed(run)
    second.steps_per_execution = 10  # TensorFlow may order sums in another way inside of a loop
    train(second, run.case, STEPS // 2)
    assert_close(owned_variables(run.model), owned_variables(second), atol=1e-6)

"""Training is the same however many steps one call of the graph has."""

from tests.conformance.harness import STEPS, assert_close, for_cases, resumed, train
from tests.owned import owned_variables

# One network; two players; steps of several kinds. The others have the same loop around them.
pytestmark = for_cases(quick=("sngan", "vae-mlp-bernoulli", "wgan"))


def test_resumed_training_equals_uninterrupted_with_many_steps_in_one_call(run):
    second = resumed(run)
    second.steps_per_execution = 10  # TensorFlow may order sums in another way inside of a loop
    train(second, run.case, STEPS // 2)
    assert_close(owned_variables(run.model), owned_variables(second), atol=1e-6)

"""An export runs in a process without tfgen and Keras; here that of one model of each kind.

That no other export has an operation of Python is looked up in its file, see `test_training`.
"""

from tests.conformance.harness import for_cases


@for_cases(only=("dcgan", "gmvae", "pixel-cnn-binary", "scale-hyperprior", "sngan-projection-resnet", "style-gan"))
def test_exported_model_loads_without_tfgen(exported, served, read_bare):
    assert read_bare(exported) == f"good {','.join(sorted(served))}"

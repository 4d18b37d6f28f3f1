"""An export runs in a process without tfgen and Keras; in the shorter suite, that of one model of each kind."""

from tests.conformance.harness import for_cases


@for_cases(quick=("dcgan", "gmvae", "pixel-cnn-binary", "scale-hyperprior", "sngan-projection-resnet", "style-gan"))
def test_exported_model_loads_without_tfgen(exported, served, read_bare):
    assert read_bare(exported) == f"good {','.join(sorted(served))}"

import pytest
import tensorflow as tf

from tests.conformance.registry import CASES
from tfgen import fields
from tfgen.fields import checked
from tfgen.layers import VirtualBatchNorm
from tfgen.layers.minibatch_discrimination import minibatch_similarity
from tfgen.losses.regularizers import pulling_away
from tfgen.models.adversarial.parts.code_layout import CodeLayout


def floats(*shape):
    return tf.TensorSpec([None, *shape], tf.float32)


IMAGES, INTEGERS = floats(8, 8, 1), tf.TensorSpec([None], tf.int32)


def levels():
    return CASES["pixel-cnn-pp"].build().levels_of, [IMAGES]


def active_factor():
    model = CASES["dc-ign"].build()
    return lambda image, active: model.active_latents({"image": image, "active": active}), [IMAGES, INTEGERS]


def factor_of_a_signature():
    rerender, specs = CASES["dc-ign"].build().signatures()["rerender"]
    return lambda *inputs: rerender(*inputs)["image"], list(specs.values())


def virtual_batch_norm():
    layer = VirtualBatchNorm()
    layer.build((None, 3))
    return lambda inputs: layer(inputs, num_reference=2), [floats(3)]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: (lambda x: checked(x, tf.size(x) > 3, "Few:", tf.size(x)), [floats()]), id="checked"),
        pytest.param(lambda: (fields.image((8, 8, 1)).check, [IMAGES]), id="images"),
        pytest.param(lambda: (fields.label(3).check, [INTEGERS]), id="labels"),
        pytest.param(lambda: (CodeLayout(1, (3,), 1).set, [floats(5), floats(2)]), id="codes"),
        pytest.param(lambda: (pulling_away, [floats(3)]), id="pulling_away"),
        pytest.param(lambda: (minibatch_similarity, [floats(2, 2)]), id="minibatch_similarity"),
        levels, active_factor, factor_of_a_signature, virtual_batch_norm,
    ],
)  # fmt: skip
def test_what_uses_a_checked_tensor_waits_for_the_check(make):
    """By the graph: the checks are among what the result is computed from, by data or by control."""
    function, specs = make()

    def used(*inputs):
        return tf.identity(function(*inputs), name="use")  # what the function returns waits in any case

    graph = tf.function(used, autograph=False).get_concrete_function(*specs).graph
    checks = {op for op in graph.get_operations() if op.type == "Assert" or op.type == "If" and "Assert" in op.name}
    seen, todo = set(), [graph.get_operation_by_name("use")]
    while todo:
        op = todo.pop()
        if op not in seen:
            seen.add(op)
            todo += [*op.control_inputs, *(tensor.op for tensor in op.inputs)]
    assert checks and checks <= seen

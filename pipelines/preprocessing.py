"""The Transform step: image bytes -> float32 [H, W, C] in [0, 1]. Graph only; augmentation is the trainer's affair."""

import tensorflow as tf


def decode_image(encoded, image_shape):
    """Scalar string (PNG, JPEG, GIF or BMP) -> float32 [H, W, C] in [0, 1]; fails where the shape is another one."""
    height, width, channels = image_shape
    image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
    shape = tf.shape(image)
    wrong = tf.debugging.Assert(
        tf.reduce_all(tf.equal(shape, [height, width, channels])),
        [f"An image of the records is not {height}x{width}x{channels} (height, width, channels) but", shape],
    )
    with tf.control_dependencies([wrong] if wrong is not None else []):
        image = tf.cast(tf.identity(image), tf.float32) / 255.0
    return tf.ensure_shape(image, (height, width, channels))


def preprocessing_fn(inputs, custom_config):
    """Transform's entry point.

    Args:
        inputs: {"image": string [B] or [B, 1], "label": int64 [B] or [B, 1] (optional)}.
        custom_config: {"image_shape": [H, W, C]}.

    Returns: {"image": float32 [B, H, W, C] in [0, 1], "label": int64 [B] (where there is one)}.
    """
    shape = tuple(int(n) for n in custom_config["image_shape"])
    image = inputs["image"]
    if image.dtype != tf.string:
        raise ValueError(f"The feature 'image' must hold encoded images (bytes); received dtype {image.dtype.name}.")
    outputs = {
        "image": tf.map_fn(
            lambda encoded: decode_image(encoded, shape),
            tf.reshape(image, [-1]),
            fn_output_signature=tf.TensorSpec(shape, tf.float32),
        )
    }
    if "label" in inputs:
        outputs["label"] = tf.reshape(inputs["label"], [-1])
    return outputs

"""The Transform step: selects the fields of the data set from the records. The bytes of images do not change.

`tfgen.data` reads their pixels in the trainer and in the evaluator, with the options of the data set. The trainer adds
augmentation and noise.
"""

import tensorflow as tf


def preprocessing_fn(inputs, custom_config):
    """Transform's entry point.

    Args:
        inputs: {feature: tensor [B, ...]}: images, clips and masks as string, the bytes of one file for each image; vectors
            are float32 or int64.
        custom_config: {"fields": [`tfgen.fields.Field.config()`], ...}.

    Returns: {"id": string or int64 [B] (if the records have one), field: unchanged string [B], for clips [B, T]; vectors
        [B, *shape]}.

    Raises:
        ValueError: a field is missing or has another dtype.
    """
    from tfgen.fields import Field

    outputs = {"id": tf.reshape(inputs["id"], [-1])} if "id" in inputs else {}
    for field in (Field(**config) for config in custom_config["fields"]):
        name, shape = field.name, field.shape
        if name not in inputs:
            raise ValueError(f"The records have no feature {name!r}; they have {sorted(inputs)}.")
        value = inputs[name]
        if field.pixels:
            if value.dtype != tf.string:
                what = "encoded images (bytes)"
                raise ValueError(f"The feature {name!r} must hold {what}; received dtype {value.dtype.name}.")
            shape = field.files_shape
        elif value.dtype == tf.string or (field.dtype == "int32" and not value.dtype.is_integer):
            raise ValueError(f"The feature {name!r} must hold {field.dtype}; received dtype {value.dtype.name}.")
        outputs[name] = tf.reshape(value, [-1, *shape])
    return outputs

"""The trained networks of `keras.applications`."""

import keras


def application(cls, weights, file, **settings):
    """The network `keras.applications.<cls>`.

    Args:
        weights: "imagenet" (Keras fetches them, once), the path of a file, or None: random.
        file: what the file is called that has the weights, for messages.
        **settings: of the function in `keras.applications`.

    Raises:
        ValueError: weights that could not be fetched, or a file of others.
    """
    try:
        return getattr(keras.applications, cls)(weights=weights and str(weights), **settings)
    except Exception as error:  # Keras and h5py raise many kinds, and no narrow one where a download fails
        name, said = cls.lower(), f"{type(error).__name__}: {error}"
        if weights != "imagenet":
            raise ValueError(f"{weights} does not hold the weights of {name}, {file} of Keras ({said})") from error
        raise ValueError(
            f"{name} needs the ImageNet weights {file} of keras.applications, which could not be had ({said}). Put the file "
            "into ~/.keras/models, give the path of it as weights, or choose another network as features."
        ) from error

"""The trained networks of `keras.applications`."""

import keras


def application(cls, weights, file, **settings):
    """The network `keras.applications.<cls>`.

    Args:
        weights: "imagenet" (Keras downloads them once), the path of a file, or None: random.
        file: name of the file of weights, for messages.
        **settings: arguments of the function in `keras.applications`.

    Raises:
        ValueError: the download failed, or the file has other weights.
    """
    try:
        return getattr(keras.applications, cls)(weights=weights and str(weights), **settings)
    except Exception as error:  # Keras and h5py raise many exceptions, and no specific one for a failed download
        name, cause = cls.lower(), f"{type(error).__name__}: {error}"
        if weights != "imagenet":
            raise ValueError(f"{weights} does not hold the weights of {name}, {file} of Keras ({cause})") from error
        raise ValueError(
            f"{name} needs the ImageNet weights {file} of keras.applications, which could not be loaded ({cause}). Put the "
            "file into ~/.keras/models, give its path as weights, or choose another feature network."
        ) from error

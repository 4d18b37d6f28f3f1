"""A small network that several skeletons have."""

import keras


def conv(name, image_shape, channels, activation=None, filters=4):
    network = keras.Sequential(name=name)
    network.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name="hidden"))
    network.add(keras.layers.Conv2D(channels, 3, padding="same", activation=activation, name="out"))
    network.build((None, *image_shape))
    return network

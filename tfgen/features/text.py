"""Small encoders of sentences: fixed random vectors of words, and a network of characters that is trained here.

Published models of images from text use encoders that were trained on photos with captions (Reed et al., "Learning Deep
Representations of Fine-grained Visual Descriptions", CVPR 2016, arXiv:1605.05395). Any function from sentences to vectors
can take their place; these need no download.
"""

import hashlib
import os
import re
from collections.abc import Sequence

import keras
import numpy as np

from tfgen import settings
from tfgen.settings import PositiveInt, Seed

LENGTH = 80  # characters of a sentence
_CODES = 128  # ASCII


def to_characters(sentences: Sequence[str], length: PositiveInt = LENGTH) -> np.ndarray:
    """ASCII codes of sentences in small letters, int32 [N, length], with zeros at their ends.

    Example:
        >>> tfgen.features.to_characters(["A b"], 4).tolist()
        [[97, 32, 98, 0]]

    Raises:
        ValueError: a sentence is no text of at most `length` ASCII characters.
    """
    settings.check(to_characters, length=length)
    found = np.zeros([len(sentences), length], np.int32)
    for row, sentence in zip(found, sentences, strict=True):
        if not isinstance(sentence, str) or not sentence.isascii() or len(sentence) > length or "\0" in sentence:
            raise ValueError(f"sentences must be texts of at most {length} ASCII characters; received {sentence!r}.")
        row[: len(sentence)] = np.frombuffer(sentence.lower().encode(), np.uint8)
    return found


def to_sentences(characters: np.ndarray) -> list[str]:
    """The sentences of ASCII codes [N, length], without the zeros at their ends.

    Example:
        >>> tfgen.features.to_sentences(tfgen.features.to_characters(["a red seven"], 20))
        ['a red seven']
    """
    return [bytes(row.astype(np.uint8)).rstrip(b"\0").decode() for row in np.asarray(characters)]


class BagOfWords:
    """An encoder without training: the sum of a fixed random vector for each word, divided by the root of their number.

    Words are runs of letters and digits. Their order does not count.

    Example:
        >>> encoder = tfgen.features.BagOfWords(32)
        >>> encoder(["a small red seven", "seven, red, a small"]).std(axis=0).max() < 1e-6
        True

    Args:
        size: width E of the vectors; their components are N(0, 1).
        seed: the vector of a word is a function of it and of the word.
    """

    def __init__(self, size: PositiveInt = 32, seed: Seed = 0):
        settings.check(BagOfWords, size=size, seed=seed)
        self.size, self.seed = int(size), int(seed)
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, sentences: Sequence[str]) -> np.ndarray:
        """float32 [N, E] of N sentences; a sentence without words gives zeros."""
        found = np.zeros([len(sentences), self.size], np.float32)
        for row, sentence in zip(found, sentences, strict=True):
            words = re.findall("[a-z0-9]+", sentence.lower())
            row += sum((self._vector(word) for word in words), 0.0) / max(len(words), 1) ** 0.5
        return found

    def _vector(self, word):
        if word not in self._known:
            digest = hashlib.blake2b(f"{self.seed} {word}".encode(), digest_size=8).digest()
            self._known[word] = np.random.default_rng(int.from_bytes(digest, "big")).standard_normal(self.size)
        return self._known[word]


class CharacterEncoder:
    """An encoder of sentences: a `keras.Model` of their characters.

    Example:
        >>> layers = [keras.layers.Embedding(128, 4), keras.layers.GlobalAveragePooling1D()]
        >>> network = keras.Sequential([keras.Input((100,)), *layers])
        >>> encoder = tfgen.features.CharacterEncoder(network)
        >>> encoder(["a small red seven", "a large blue one"]).shape
        (2, 4)

    Args:
        network: int32 [N, length] of `to_characters` -> float [N, E].

    Attributes:
        network: as the argument. Save it with `network.save("encoder.keras")`, see `load_text_encoder`.

    Raises:
        ValueError: the network takes or returns something else.
    """

    def __init__(self, network: keras.Model):
        shapes, outputs = ([tuple(one.shape) for one in some] for some in (network.inputs, network.outputs))
        if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] is None:
            raise ValueError(
                "The network of a CharacterEncoder must take int32 [N, length] with a fixed length; received one that takes "
                f"{', '.join(map(str, shapes))}."
            )
        if len(outputs) != 1 or len(outputs[0]) != 2 or outputs[0][1] is None:
            raise ValueError(
                "The network of a CharacterEncoder must return vectors [N, E]; received one that returns "
                f"{', '.join(map(str, outputs))}."
            )
        self.network, self.length = network, shapes[0][1]

    def __call__(self, sentences: Sequence[str]) -> np.ndarray:
        """float32 [N, E] of N sentences."""
        characters = to_characters(sentences, self.length)
        parts = [self.network(characters[i : i + 1000], training=False) for i in range(0, len(characters), 1000)]
        return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts]).astype(np.float32)


def load_text_encoder(path: str | os.PathLike) -> CharacterEncoder:
    """The encoder whose network was saved in a file.

    Example:
        >>> tfgen.features.CharacterEncoder(tfgen.features.character_network(4)).network.save("encoder.keras")
        >>> tfgen.features.load_text_encoder("encoder.keras")(["a small red seven"]).shape
        (1, 4)

    Args:
        path: of a `.keras` file, see `CharacterEncoder`.

    Raises:
        ValueError: there is no such file, or no such network in it.
    """
    try:
        network = keras.saving.load_model(path, compile=False)
        return CharacterEncoder(network)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"text_encoder must be the .keras file of a network of characters; {path}: {error}") from error


def character_network(
    size: PositiveInt = 32, *, width: PositiveInt = 64, length: PositiveInt = LENGTH, seed: Seed = 0
) -> keras.Model:
    """The network of `train_text_encoder`, untrained: int32 [N, length] -> float32 [N, size] in (-1, 1).

    Vectors of characters, a convolution over 7 of them with ReLU, the largest value in the sentence (so the order of words
    hardly counts), and a dense layer with tanh.

    Example:
        >>> tfgen.features.character_network(4, length=10)(np.array([[97] * 10])).shape
        TensorShape([1, 4])
    """
    settings.check(character_network, size=size, width=width, length=length, seed=seed)
    seeds = iter(np.random.SeedSequence(seed).generate_state(4).tolist())
    layer = {"dtype": "float32"}

    def start():
        return keras.initializers.GlorotUniform(seed=next(seeds))

    characters = keras.Input([length], dtype="int32", name="characters")
    x = keras.layers.Embedding(_CODES, 16, embeddings_initializer=start(), name="letters", **layer)(characters)
    x = keras.layers.Conv1D(width, 7, padding="same", activation="relu", kernel_initializer=start(), name="conv", **layer)(x)
    inside = keras.ops.cast(keras.ops.expand_dims(characters > 0, -1), "float32")
    x = keras.ops.max(x * inside, axis=1)
    x = keras.layers.Dense(size, activation="tanh", kernel_initializer=start(), name="embedding", **layer)(x)
    return keras.Model(characters, x, name="characters")


def train_text_encoder(
    sentences: Sequence[str], attributes: np.ndarray, *, size: PositiveInt = 32, epochs: PositiveInt = 10,
    seed: Seed = 0,
) -> CharacterEncoder:  # fmt: skip
    """Trains `character_network` to tell which attributes a sentence states.

    A linear layer over the vectors gives a logit for each value of each attribute; the loss is their cross-entropy. The
    layer is then dropped.

    Example:
        >>> sentences, attributes = ["a red seven", "a blue one"], np.array([[0, 7], [1, 1]])  # of colours and digits
        >>> encoder = tfgen.features.train_text_encoder(sentences, attributes, size=8, epochs=1)
        >>> encoder(["a red one"]).shape
        (1, 8)

    Args:
        sentences: N texts.
        attributes: int [N, A], the value of each attribute, or -1 where the sentence does not state it.
        size: width E of the vectors.
        epochs: passes over the sentences, in batches of 100, in an order drawn once from `seed`.
        seed: of the weights and the order.

    Raises:
        ValueError: not one row of attributes for each sentence, or a sentence that `to_characters` refuses.
    """
    attributes = np.asarray(attributes)
    if attributes.ndim != 2 or len(attributes) != len(sentences) or not np.issubdtype(attributes.dtype, np.integer):
        raise ValueError(
            f"attributes must be whole numbers [{len(sentences)}, any], a row for each sentence; received "
            f"{attributes.dtype} {attributes.shape}."
        )
    network = character_network(size, seed=seed)
    stated = np.concatenate([column[:, None] == np.arange(column.max() + 1) for column in attributes.T], axis=1)
    start = keras.initializers.GlorotUniform(seed=seed)
    logits = keras.layers.Dense(stated.shape[1], kernel_initializer=start, dtype="float32", name="stated")
    trained = keras.Model(network.inputs, logits(network.outputs[0]))
    trained.compile(keras.optimizers.Adam(3e-3), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    order = np.random.default_rng(seed).permutation(len(sentences))
    trained.fit(
        to_characters(sentences)[order], stated[order].astype(np.float32), batch_size=100, epochs=epochs, shuffle=False,
        verbose=0,
    )  # fmt: skip
    network.trainable = False
    return CharacterEncoder(network)

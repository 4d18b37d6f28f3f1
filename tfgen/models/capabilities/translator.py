"""Translator: images made of images."""

from tfgen.models.capabilities.capability import Capability, one_above_another


class Translator(Capability):
    """A model that makes an image, or a clip, of others. A subclass implements `translate` and `translated_fields`."""

    NAME = "translator"
    SIGNATURE = "translate"

    def translated_fields(self):
        """The `tfgen.fields.Field`s that `translate` takes, such as `image`, `content` and `style`, or `frames`."""
        raise NotImplementedError(f"{type(self).__name__} must implement translated_fields().")

    def translate(self, **given):
        """{output name: float32 [B, ...]} of the fields of `translated_fields`; "image" or "frames" is the picture."""
        raise NotImplementedError(f"{type(self).__name__} must implement translate(...).")

    @classmethod
    def grid_of(cls, model, num, examples):
        """The pictures that are translated, below them the results and, where `examples` have it, the `target`.

        Of clips it is the first one, time running to the right. A picture of another size than the result is left out.
        """
        if examples is None:
            return None
        given = {field.argument: examples[field.name][: max(1, num // 2)] for field in model.translated_fields()}
        outputs = model.translate(**given)
        result = _pictures(outputs["image"] if "image" in outputs else outputs["frames"])
        shown = [_pictures(given[field.argument]) for field in model.translated_fields() if field.encoded]
        target = [_pictures(examples["target"])] if "target" in examples else []
        groups = [group for group in (*shown, result, *target) if group.shape[1:] == result.shape[1:]]
        return one_above_another([group[: len(result)] for group in groups], num)

    @classmethod
    def request_fields_of(cls, model):
        return tuple(model.translated_fields())

    @classmethod
    def signatures_of(cls, model):
        specs = {field.argument: field.spec for field in model.translated_fields()}
        return {"translate": (lambda **given: model.translate(**given), specs)}


def _pictures(value):
    """[N, H, W, C] of images, or of the first of clips [B, T, H, W, C]."""
    return (value if value.shape.rank == 4 else value[0]).numpy()

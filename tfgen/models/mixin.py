"""The base classes of parts of models: for a type checker the models that they become parts of, else nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfgen.models.adversarial.base import AdversarialModel as AdversarialMixin
    from tfgen.models.base import TrainableModel as Mixin
else:
    AdversarialMixin = Mixin = object

__all__ = ["AdversarialMixin", "Mixin"]

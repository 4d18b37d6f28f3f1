"""A resolver strategy: the latest blessed model other than the model under evaluation."""

from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy


class PreviousBlessedModelStrategy(LatestBlessedModelStrategy):
    """`LatestBlessedModelStrategy` over the models that are not in the channel `current`.

    In the second run of an unchanged pipeline, TFX's own strategy returns the model under evaluation. This is a new input,
    so the evaluator and the pusher would run again and compare the model with itself.
    """

    def resolve_artifacts(self, store, input_dict):
        current = {artifact.id for artifact in input_dict["current"]}
        others = [m for m in input_dict["model"] if m.id not in current]
        resolved = super().resolve_artifacts(store, {"model": others, "model_blessing": input_dict["model_blessing"]})
        return {**resolved, "current": input_dict["current"]}

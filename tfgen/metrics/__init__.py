"""Metrics of generated images: plain functions of activations or images. Each number is stored with its protocol.

The functions use NumPy in float64 and import nothing heavy. Each has an accumulator (see `accumulators`) that computes
the same number from examples in shards: update, merge, result. `Classifier` (Keras) is the default feature extractor: a
small network trained on the data set itself. `evaluate_samples` computes all metrics of samples at once; `measure` computes
the metrics of the other capabilities of an exported model.
"""

import importlib

# fmt: off
_MODULES = {
    "accumulators": ("Accumulator", "Moments", "Rows"),
    "score": (
        "ClassShares", "ClassifierScore", "Estimate",
        "class_shares", "classifier_score", "count_classes", "presence_threshold",
    ),
    "frechet": (
        "FrechetDistance", "FrechetDistanceInfinity", "FrechetLimit",
        "frechet_distance", "frechet_distance_from_moments", "frechet_distance_infinity", "moments",
    ),
    "kernel": ("KernelDistance", "kernel_distance"),
    "manifold": ("PRDC", "prdc"),
    "similarity": ("MultiScaleSimilarity", "ms_ssim", "ms_ssim_diversity"),
    "laplacian": ("sharpness",),
    "strokes": ("stroke_attributes",),
    "temporal": ("temporal_l1",),
    "wasserstein": ("SlicedWasserstein", "laplacian_pyramid", "sliced_wasserstein"),
    "path_length": ("PathLength", "path_distances", "perceptual_path_length", "trimmed_mean"),
    "separability": ("LinearSeparability", "Separability", "conditional_entropy", "linear_separability"),
    "neighbours": ("NearestNeighbours", "nearest_images", "nearest_neighbours", "neighbour_ratio"),
    "birthday": ("ClosestPairs", "closest_pairs", "duplicate_rate", "support_size"),
    "likelihood": ("Likelihood", "LikelihoodResult", "bits_per_dim", "importance_log_prob"),
    "accuracy": ("Accuracy", "ConditionalAccuracy", "conditional_accuracy"),
    "keras_metrics": ("KerasConditionalAccuracy",),
    "parzen": ("ParzenEstimate", "fit_sigma", "parzen_estimate", "parzen_log_likelihood"),
    "codes": ("Clusters", "FewLabels", "codes_of", "few_label_accuracy", "k_means"),
    "dependence": ("dependency_field",),
    "probe": (
        "CriticProbe", "Probe", "critic_features", "critic_layers", "linear_probe", "probe_checkpoints",
    ),
    "clustering": ("confusion_matrix", "exemplar_accuracy", "hungarian_accuracy", "majority_accuracy"),
    "classifier": ("Classifier", "train_classifier"),
    "protocol": ("Protocol", "ProtocolMismatch", "Result"),
    "cache": ("Cache",),
    "statistics": ("InProcess", "NearestImages", "NotFinite", "Statistics", "Walk"),
    "extractors": ("FeatureExtractor", "GraphInception", "KerasInception", "SavedInception", "VGGDistance", "inception"),
    "exported": ("ExportedModel", "SavedModelGenerator", "load_exported"),
    "generators": ("RunGenerator", "Samples", "imitated"),
    "measures": ("MEASURES", "OF_CODES", "default_thresholds", "measure", "measure_codes", "trivial"),
    "evaluate": ("METRICS", "Evaluator", "anchors", "evaluate_samples"),
}
# fmt: on
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tfgen.metrics' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"tfgen.metrics.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__

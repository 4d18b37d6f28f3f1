"""Metrics of other packages on given features; run by `benchmarks.metric_peers` in an environment with them.

    python torch_fidelity_metrics.py FEATURES.npz

FEATURES.npz has `real` and `fake` float64 [N, F] and `logits` float64 [N, K]. The answer is a line of JSON.
"""

import importlib.metadata
import json
import sys

import numpy as np
import prdc
import scipy.linalg
import torch
from sklearn.metrics.pairwise import polynomial_kernel
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric


def main():
    with np.load(sys.argv[1]) as found:
        real, fake, logits, k = found["real"], found["fake"], found["logits"], int(found["k"])
    both = [torch.from_numpy(features) for features in (fake, real)]
    fid = fid_statistics_to_metric(*(fid_features_to_statistics(features) for features in both), verbose=False)
    kid = kid_features_to_metric(*both, kid_subsets=1, kid_subset_size=len(real), kid_degree=3, kid_coef0=1, rng_seed=0,
                                 verbose=False)  # fmt: skip
    score = isc_features_to_metric(torch.from_numpy(logits), splits=1, shuffle=False, rng_seed=0)
    prc = prc_features_to_metric(*both, prc_neighborhood=k, prc_batch_size=10_000, verbose=False)
    values = {name.partition("metric_")[2] or name: float(value) for name, value in {**fid, **kid, **score, **prc}.items()}
    root = scipy.linalg.sqrtm(np.cov(fake.T) @ np.cov(real.T)).real
    shift = fake.mean(0) - real.mean(0)
    by_scipy = float(shift @ shift + np.trace(np.cov(fake.T)) + np.trace(np.cov(real.T)) - 2.0 * np.trace(root))
    own = [polynomial_kernel(x, degree=3, coef0=1) for x in (fake, real)]
    cross, n = polynomial_kernel(fake, real, degree=3, coef0=1), len(real)
    by_sklearn = sum((one.sum() - np.trace(one)) / (n * (n - 1)) for one in own) - 2.0 * cross.mean()
    packages = ("torch", "torch-fidelity", "prdc", "scipy", "scikit-learn")
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(json.dumps({
        "torch-fidelity": values, "prdc": {name: float(v) for name, v in prdc.compute_prdc(real, fake, k).items()},
        "scipy": {"frechet": by_scipy}, "scikit-learn": {"kernel": float(by_sklearn)}, "versions": versions,
    }))  # fmt: skip


main()

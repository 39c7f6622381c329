"""The Gaussian mixture of ALP-GMM: how much progress each difficulty stands for."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparft_plugin.curriculum.threads import one_thread


def progress_by_level(
    difficulties: NDArray[np.float64],
    progress: NDArray[np.float64],
    levels: NDArray[np.float64],
    max_components: int,
    criterion: str,
    seed: int,
) -> NDArray[np.float64]:
    """Share of each level if components are drawn by their mean progress.

    Parameters
    ----------
    difficulties, progress : ndarray of float64, shape (m,)
        The points to fit.
    levels : ndarray of float64, shape (l,)
        Difficulties that exist.
    max_components : int >= 1
        Most Gaussians tried.
    criterion : {"bic", "aic"}
        Chooses their number; lower is better.
    seed : int
        Seed of the fits.

    Returns
    -------
    ndarray of float64, shape (l,)
        Sums to the sum of the components' mean progress: all 0 if there was none.
    """
    model = fit(np.stack([difficulties, progress], axis=1), max_components, criterion, seed)
    centres, spreads = model.means_[:, :1], model.covariances_[:, :1, 0]
    # A density may underflow at every level, so each component is scaled to its best one.
    logs = -0.5 * (levels - centres) ** 2 / spreads
    densities = np.exp(logs - logs.max(axis=1, keepdims=True))
    densities /= densities.sum(axis=1, keepdims=True)
    # EM may put the mean of zeros a rounding error below zero.
    share: NDArray[np.float64] = np.maximum(model.means_[:, 1], 0) @ densities
    return share


def fit(points: NDArray[np.float64], max_components: int, criterion: str, seed: int) -> Any:
    """Fit mixtures of 2, 3, ... Gaussians and return the best; two worse in a row end the search.

    Parameters
    ----------
    points : ndarray of float64, shape (m, 2)
        At least two.
    """
    from sklearn.mixture import GaussianMixture

    most = min(max_components, len(np.unique(points, axis=0)))
    found: list[tuple[float, Any]] = []
    # Fits are coarse and may not converge: they steer a draw, and the next one comes soon.
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for count in range(min(2, most), most + 1):
            model = GaussianMixture(count, tol=0.01, init_params="k-means++", random_state=seed)
            found.append((getattr(model.fit(points), criterion)(points), model))
            last = [score for score, _ in found[-3:]]
            if len(last) == 3 and last[0] < last[1] < last[2]:
                break
    return min(found, key=lambda pair: pair[0])[1]

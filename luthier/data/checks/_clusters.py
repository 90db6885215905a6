"""Rows grouped by what they are about: hashed words weighed by rarity, a few directions, k-means. All in numpy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

PROJECTED: Final = 96
DIRECTIONS: Final = 32
ROUNDS: Final = 25
_WORD = re.compile(r"[^\W\d_]{3,}|[\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True)
class Clusters:
    """Groups of R texts: `label` (R) is each text's group, `names` the words that tell a group from the others, `map`
    (R, 2) a point for each text, near to those of texts that are alike."""

    label: NDArray[np.int64]
    names: list[str]
    map: NDArray[np.float64]
    sizes: NDArray[np.int64]


def clustered(texts: Sequence[str], count: int, seed: int = 0) -> Clusters:
    """Texts in at most `count` groups. Words in more than half of the texts, or in one alone, tell nothing apart.

    Sources: Salton and Buckley 1988 (weights); Johnson and Lindenstrauss 1984 (random projection);
    Arthur and Vassilvitskii 2007 (k-means++).
    """
    words = [Counter(_WORD.findall(text.casefold())) for text in texts]
    frequency = Counter(word for found in words for word in found)
    told = sorted(word for word, texts_with in frequency.items() if 1 < texts_with <= max(2, len(texts) / 2))
    place = {word: number for number, word in enumerate(told)}
    entries = [
        (row, place[word], 1 + np.log(times))
        for row, found in enumerate(words)
        for word, times in found.items()
        if word in place
    ]
    if len(told) < 3 or len(texts) < 3:
        nothing = np.zeros(len(texts), np.int64)
        return Clusters(nothing, [""], np.zeros((len(texts), 2)), np.array([len(texts)]))
    rows, columns, values = (np.array(part) for part in zip(*entries, strict=True))
    rarity = np.log(len(texts) / np.array([frequency[word] for word in told]))
    matrix = csr_array((values * rarity[columns], (rows, columns)), shape=(len(texts), len(told)))
    points = _directions(matrix, seed)
    label = _k_means(points, min(count, len(texts)), np.random.default_rng(seed))
    _, label = np.unique(label, return_inverse=True)
    sizes = np.bincount(label)
    return Clusters(
        label, _names(matrix, label, told), points[:, :2] if points.shape[1] > 1 else np.zeros((len(texts), 2)), sizes
    )


def _directions(matrix: csr_array, seed: int) -> NDArray[np.float64]:
    """Each row as a unit vector of its strongest directions (R, at most 32)."""
    random = np.random.default_rng(seed).standard_normal((matrix.shape[1], PROJECTED)) / np.sqrt(PROJECTED)
    points = np.asarray(matrix @ random)
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    points = points - points.mean(axis=0)
    _, directions = np.linalg.eigh(points.T @ points)
    points = points @ directions[:, ::-1][:, :DIRECTIONS]
    unit: NDArray[np.float64] = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    return unit


def _k_means(points: NDArray[np.float64], count: int, chance: np.random.Generator) -> NDArray[np.int64]:
    centres = points[chance.integers(len(points))][None]
    nearest = np.full(len(points), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, ((points - centres[-1]) ** 2).sum(axis=1))
        if nearest.sum() <= 1e-9:
            break
        centres = np.vstack([centres, points[chance.choice(len(points), p=nearest / nearest.sum())]])
    label = np.zeros(len(points), np.int64)
    for _ in range(ROUNDS):
        moved = np.argmax(points @ centres.T - 0.5 * (centres**2).sum(axis=1), axis=1)
        if np.array_equal(moved, label):
            break
        label = moved
        for group in range(len(centres)):
            if (label == group).any():
                centres[group] = points[label == group].mean(axis=0)
    return label


def _names(matrix: csr_array, label: NDArray[np.int64], told: Sequence[str]) -> list[str]:
    """The three words of each group that are stronger in it than in the others."""
    everywhere = np.asarray(matrix.mean(axis=0)).ravel()
    names = []
    for group in range(int(label.max()) + 1):
        inside = np.asarray(matrix[label == group].mean(axis=0)).ravel() - everywhere
        names.append(", ".join(told[place] for place in np.argsort(-inside)[:3] if inside[place] > 0))
    return names

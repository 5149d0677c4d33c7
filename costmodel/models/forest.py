"""Boosted trees in numpy, from LightGBM's text: a compilation asks about a few candidates, and the
library that trained them takes longer to import than all of their predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..features.nests import Array
from .tree_text import check_trees, fields_of

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Forest:
    """Arrays trees x nodes, padded; a negative child -k - 1 is leaf k. All splits are
    x <= threshold, and features are finite."""

    features: Numbers
    thresholds: Array
    children: Numbers
    leaves: Array

    @staticmethod
    def of(text: str, features: int) -> Forest:
        """The trees of a checked text; InvalidInputError for what is none."""
        check_trees(text, features)
        trees = [fields_of(block) for block in text.split("\nTree=")[1:]]
        most = max(2, *(int(t["num_leaves"]) for t in trees))
        feature = np.zeros((len(trees), most), np.int64)
        threshold, leaf = np.full((len(trees), most), np.inf), np.zeros((len(trees), most))
        children = np.full((len(trees), most, 2), -1, np.int64)
        for k, tree in enumerate(trees):
            values = [float(v) for v in tree["leaf_value"].split()]
            leaf[k, : len(values)] = values
            nodes = len(values) - 1
            if nodes:
                feature[k, :nodes] = [int(v) for v in tree["split_feature"].split()]
                threshold[k, :nodes] = [float(v) for v in tree["threshold"].split()]
                children[k, :nodes, 0] = [int(v) for v in tree["left_child"].split()]
                children[k, :nodes, 1] = [int(v) for v in tree["right_child"].split()]
        return Forest(feature, threshold, children, leaf)

    def predict(self, x: Array) -> Array:
        """The sum over trees for each row of `x`."""
        tree = np.arange(len(self.features))[None, :]
        rows = np.arange(len(x))[:, None]
        node = np.zeros((len(x), len(self.features)), np.int64)
        while True:
            inside = node >= 0
            if not inside.any():
                break
            at = np.where(inside, node, 0)
            right = x[rows, self.features[tree, at]] > self.thresholds[tree, at]
            following = self.children[tree, at, right.astype(np.int64)]
            node = np.where(inside, following, node)
        found: Array = self.leaves[tree, -node - 1].sum(axis=1)
        return found

"""Check LightGBM's model text before LightGBM reads it: it trusts indices, and a wrong one would
make it read outside of its arrays."""

from __future__ import annotations

from ...dialects.errors import InvalidInputError

MOST_TREES = 20_000
MOST_LEAVES = 4096
# What LightGBM gets to read: not the sizes of trees in bytes, by which it would jump in the text.
HEADER = (
    *("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx"),
    *("objective", "feature_names", "feature_infos"),
)
TREE = (
    *("num_leaves", "num_cat", "split_feature", "split_gain", "threshold", "decision_type"),
    *("left_child", "right_child", "leaf_value", "is_linear", "shrinkage"),
)
NODE_LISTS = (
    *("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child"),
)


def check_trees(text: str, features: int) -> None:
    """InvalidInputError where `text` is not a model of numeric splits over `features` features."""
    blocks = text.split("\nTree=")
    head = fields_of(blocks[0])
    if not blocks[0].startswith("tree\n") or head.get("max_feature_idx") != str(features - 1):
        raise InvalidInputError(f"this is no model of trees over {features} features")
    if not 1 < len(blocks) <= MOST_TREES:
        raise InvalidInputError(f"expected 1 to {MOST_TREES} trees, found {len(blocks) - 1}")
    if head.get("num_class") != "1" or head.get("num_tree_per_iteration") != "1":
        raise InvalidInputError("expected a model with one output")
    for number, block in enumerate(blocks[1:]):
        try:
            check_tree(fields_of(block), features)
        except (ValueError, KeyError) as error:
            raise InvalidInputError(f"tree {number} of this model is damaged: {error}") from error


def checked_trees(text: str, features: int) -> str:
    """The checked trees of `text`, and nothing else of it; InvalidInputError as `check_trees`."""
    check_trees(text, features)
    head, *trees = (fields_of(block) for block in text.split("\nTree="))
    if len(head.get("feature_names", "").split()) != features:
        raise InvalidInputError(f"expected names of {features} features")
    if len(head.get("feature_infos", "").split()) != features:
        raise InvalidInputError(f"expected ranges of {features} features")
    lines = ["tree", *_kept(head, HEADER)]
    for number, tree in enumerate(trees):
        lines += ["", f"Tree={number}", *_kept(tree, TREE)]
    return "\n".join([*lines, "", "end of trees", ""])


def _kept(fields: dict[str, str], names: tuple[str, ...]) -> list[str]:
    return [f"{name}={fields[name]}" for name in names if name in fields]


def fields_of(block: str) -> dict[str, str]:
    """The lines NAME=VALUE up to the end of a block."""
    body = block.partition("\nend of trees")[0]
    return {n: v for n, found, v in (line.partition("=") for line in body.splitlines()) if found}


def check_tree(fields: dict[str, str], features: int) -> None:
    """ValueError where one tree points at nodes, leaves or features that are not there."""
    leaves = int(fields["num_leaves"])
    if not 1 <= leaves <= MOST_LEAVES or fields["num_cat"] != "0" or fields["is_linear"] != "0":
        raise ValueError(f"{leaves} leaves, {fields['num_cat']} categorical splits")
    if len([float(v) for v in fields["leaf_value"].split()]) != leaves:
        raise ValueError(f"expected {leaves} leaf values")
    if leaves == 1:
        return
    lists = {name: fields[name].split() for name in NODE_LISTS}
    if any(len(values) != leaves - 1 for values in lists.values()):
        raise ValueError(f"expected {leaves - 1} nodes")
    if not all(0 <= int(f) < features for f in lists["split_feature"]):
        raise ValueError(f"expected features below {features}")
    [float(v) for name in ("threshold", "split_gain") for v in lists[name]]
    float(fields["shrinkage"])
    if any(int(v) & 1 for v in lists["decision_type"]):
        raise ValueError("categorical splits")
    children = [int(c) for name in ("left_child", "right_child") for c in lists[name]]
    # Nodes are 1 .. leaves - 2 but for the root, leaf k is -k - 1: each is the child of one node.
    if sorted(children) != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise ValueError("its children are not its nodes and leaves")
    for name in ("left_child", "right_child"):
        if any(0 <= int(c) <= node for node, c in enumerate(lists[name])):
            raise ValueError("a child stands before its node")

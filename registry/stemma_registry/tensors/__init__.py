"""Tensor lineage: which models share tensors, whether anybody declared it or not."""

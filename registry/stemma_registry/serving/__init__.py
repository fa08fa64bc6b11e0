"""From verdict to load: what was judged is what is opened, with nothing in between.

with open_verified("models/qa:3") as model:
    tensors = model.load_safetensors("model.safetensors")
"""

from __future__ import annotations

from stemma_registry.serving.asking import Approved, Place, Question, approve, check_standing
from stemma_registry.serving.tensors import Tensor
from stemma_registry.serving.verified import VerifiedModel, open_verified

__all__ = [
    "Approved",
    "Place",
    "Question",
    "Tensor",
    "VerifiedModel",
    "approve",
    "check_standing",
    "open_verified",
]

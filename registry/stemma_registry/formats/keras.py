"""Keras models: their configuration, in a .keras archive or in HDF5.

https://keras.io/guides/serialization_and_saving/ . In HDF5 the configuration is an attribute; it
is found by a search for bytes, without an HDF5 reader, so what is compressed or
written in an unusual way is missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.errors import BadJSON
from stemma_registry.formats.findings import Look
from stemma_registry.formats.searching import pieces, unescaped
from stemma_registry.formats.sources import Source

LAMBDAS = ("Lambda", "__lambda__", "TFOpLambda")
_CLASS = re.compile(rb'"class_name"\s*:\s*"([^"]{1,80})"')
_MODULE = re.compile(rb'"module"\s*:\s*"([^"]{1,200})"')
_OWN = re.compile(r"(keras|tf_keras|tensorflow\.keras|tensorflow\.python\.keras|builtins)(\.|\Z)")
MARK = b"model_config"


def look_config(look: Look, source: Source) -> None:
    """Look through config.json for Lambda layers and modules that are not Keras's."""
    if source.size > json_strict.MAX_BYTES:
        look.add("too-much", f"a configuration of {source.size} bytes")
        return
    try:
        document = json_strict.loads(source.read_at(0, source.size))
    except BadJSON as error:
        look.add("archive-malformed", f"config.json: {error}"[:200])
        return
    for item in _objects(document):
        _class(look, item.get("class_name"))
        _module(look, item.get("module"))


def look_hdf5(look: Look, source: Source) -> bool:
    """Search an HDF5 file; whether it is a Keras model."""
    is_model = False
    for data in pieces(look.budget, source):
        is_model = is_model or MARK in data
        plain = unescaped(data)
        for match in _CLASS.finditer(plain):
            _class(look, match[1].decode("utf-8", "replace"))
        for match in _MODULE.finditer(plain):
            _module(look, match[1].decode("utf-8", "replace"))
    return is_model


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _class(look: Look, name: object) -> None:
    if isinstance(name, str) and name.rpartition(">")[2] in LAMBDAS:
        look.add("keras-lambda", f"a layer of class {name!r:.80}")


def _module(look: Look, name: object) -> None:
    if isinstance(name, str) and not _OWN.match(name):
        look.add("keras-module", f"the module {name!r:.80}")

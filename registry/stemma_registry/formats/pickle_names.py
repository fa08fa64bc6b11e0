"""What a pickle may import and call: what PyTorch's tensors and NumPy's arrays are made of.

The list is the gate. Lists of what is forbidden are always too short.
"""

from __future__ import annotations

from itertools import product

_TENSORS = """
_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter
_rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor
_rebuild_meta_tensor_no_storage _rebuild_nested_tensor
""".split()  # noqa: SIM905 - quoted words are harder to read
STORAGES = {  # of each, bytes of an item
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
}
_TORCH_VALUES = """
float64 double float32 float float16 half bfloat16 int64 long int32 int int16 short int8 uint8
uint16 uint32 uint64 bool complex32 complex64 complex128 qint8 quint8 qint32 float8_e4m3fn
float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz strided sparse_coo sparse_csr per_tensor_affine
per_channel_affine contiguous_format preserve_format channels_last
""".split()  # noqa: SIM905 - quoted words are harder to read
_NUMPY_SCALARS = """
bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64
complex128 str_ bytes_ datetime64 timedelta64
""".split()  # noqa: SIM905 - quoted words are harder to read
_NUMPY_CORE = ("numpy.core", "numpy._core")
_BUILTINS = ("builtins", "__builtin__")

ORDERED = ("collections", "OrderedDict")
WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
ARRAYS = {("numpy", "ndarray"), *((f"{core}.multiarray", "_reconstruct") for core in _NUMPY_CORE)}
DTYPE = ("numpy", "dtype")
ENCODE = ("_codecs", "encode")
CONTAINERS = {(b, n) for b, n in product(_BUILTINS, ("set", "frozenset", "bytearray", "complex"))}

# What may be called; with what REDUCE, NEWOBJ and the like then do.
CALLED = frozenset(
    {("torch._utils", name) for name in _TENSORS}
    | {("torch", "Size"), ("torch", "device"), ("torch.serialization", "_get_layout")}
    | {("torch.nn.parameter", "Parameter")}
    | {(f"{core}.multiarray", n) for core, n in product(_NUMPY_CORE, ("_reconstruct", "scalar"))}
    | {(f"{core}.numeric", "_frombuffer") for core in _NUMPY_CORE}
    | {DTYPE, ORDERED, WRAPPER, ENCODE}
    | CONTAINERS
)
# What may be named, and handed on as a value.
NAMED = frozenset(
    {("torch", name) for name in (*STORAGES, *_TORCH_VALUES)}
    | {("torch.storage", "UntypedStorage"), ("torch.storage", "TypedStorage")}
    | {("numpy", name) for name in ("ndarray", *_NUMPY_SCALARS)}
    | CALLED
)
# What has a state that BUILD may set.
BUILT = frozenset(
    ARRAYS
    | {DTYPE, ORDERED, WRAPPER, ("torch.nn.parameter", "Parameter")}
    | {("torch._utils", name) for name in _TENSORS}
)
# What the JIT's own unpickler knows besides, in a TorchScript archive.
TORCHSCRIPT = frozenset(
    {
        ("torch.jit._pickle", name)
        for name in (
            "build_intlist",
            "build_doublelist",
            "build_boollist",
            "build_tensorlist",
            "build_tensor_from_id",
            "restore_type_tag",
        )
    }
)

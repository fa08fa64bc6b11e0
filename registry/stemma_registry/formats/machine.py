"""A pickle's opcodes followed on a stack of symbols: what would be imported, and called.

Nothing is imported or called. Where the real machine (CPython's `_pickle.c` and
`pickle.py`) would stop with an error, this one stops too; what ran before that has
run, so findings up to there count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stemma_registry.formats import pickle_names as names
from stemma_registry.formats.findings import Budget, Setting, Stop
from stemma_registry.formats.opcodes import UNKNOWN, Argument, Fails, Op, read
from stemma_registry.formats.sources import Cursor
from stemma_registry.formats.symbols import Global, Made, Mapping, Run

KEPT_ITEMS = 64  # of a tuple or a dictionary; longer ones are no arguments that matter
TEXT = 64 * 1024**2  # characters of text that are kept in one pickle
MEMO_INDEX = 1 << 26
_IMPORTABLE = re.compile(r"[\w-]+(?:\.[\w-]+)*\Z")


class Machine:
    """Follows one pickle. `run` raises Stop where that costs too much."""

    def __init__(self, cursor: Cursor, budget: Budget, setting: Setting) -> None:
        self.cursor, self.budget, self.setting = cursor, budget, setting
        self.result = Run()
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.text = 0
        self.depth = 0

    def run(self) -> Run:
        """Follow the opcodes up to STOP or to where an unpickler would fail."""
        try:
            while not self.result.stopped:
                self.budget.spend("opcodes")
                op = read(self.cursor)
                self._step(op)
        except EOFError:
            self.result.error = "it ends early"
        except Fails as error:
            self.result.error = str(error)
        except (IndexError, KeyError):
            self.result.error = "the stack or the memo does not have what is asked for"
        self.result.end = self.cursor.position
        return self.result

    def _step(self, op: Op) -> None:
        handler = _HANDLERS.get(op.name)
        if handler is not None:
            handler(self, op)
        elif op.name in _LITERALS:
            self.push(Made(_LITERALS[op.name]))
        else:
            self.push(self._kept(op.arg))
        if max(len(self.stack), len(self.memo), len(self.below)) > self.budget.bounds.values:
            raise Stop("too-much", f"more than {self.budget.bounds.values} values at once")

    def _kept(self, value: Argument) -> Any:
        if isinstance(value, str):
            self.text += len(value)
            return value if self.text <= TEXT else UNKNOWN
        return UNKNOWN if value is None else value

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        """What is above the mark, taken off with it. Raises IndexError."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def found(self, rule: str, text: str, op: Op) -> None:
        """Note a finding once."""
        if len(self.result.found) < KEPT_ITEMS:
            self.result.found.setdefault((rule, text), op.at)

    # --- importing ---

    def named(self, module: Any, name: Any, op: Op) -> Global:
        """What an import gives, with a finding where it is not on the list."""
        self.result.imports += 1
        if not isinstance(module, str) or not isinstance(name, str):
            if not all(isinstance(one, str) or one is UNKNOWN for one in (module, name)):
                raise Fails("an import of what is no text")
            self.result.plausible = True
            self.found("pickle-unresolved", f"{op.name} of a name that is not in the open", op)
            return Global("?", "?")
        if _IMPORTABLE.match(module):
            self.result.plausible = True
        key = (module, name)
        if self.setting.script and (module.split(".")[0] == "__torch__"):
            self.found("torchscript-type", f"{module}.{name}"[:200], op)
        elif key not in names.NAMED and not (self.setting.script and key in names.TORCHSCRIPT):
            self.found("pickle-global", f"{op.name} {module}.{name}"[:200], op)
        return Global(module, name)

    def calls(self, what: Any, arguments: Any, op: Op) -> None:
        """Call something: push what it makes."""
        self.result.acts |= self.result.imports > 0
        given = arguments if isinstance(arguments, tuple) else ()
        if isinstance(what, Global):
            listed = what.key in names.NAMED
            if listed and what.key not in names.CALLED:
                self.found("pickle-call", f"{op.name} calls {what.module}.{what.name}", op)
            if what.key == names.ENCODE and given[1:] != ("latin1",):
                self.found("pickle-call", "an encoding other than latin1 is asked for", op)
            self.push(Made(what, given if len(given) <= KEPT_ITEMS else ()))
            return
        if what is UNKNOWN or isinstance(what, Made | Mapping):
            self.found("pickle-call", f"{op.name} calls what is no listed name", op)
            self.push(UNKNOWN)
            return
        raise Fails("a call of what cannot be called")

    def persistent(self, what: Any, op: Op) -> None:
        """A persistent id: in PyTorch's files one of a storage."""
        self.push(UNKNOWN)
        if self.setting.torch and isinstance(what, tuple) and len(what) >= 5:
            word, kind, key, _, count = what[:5]
            if word == "storage" and isinstance(kind, Global) and kind.key in names.NAMED:
                if isinstance(key, str) and isinstance(count, int):
                    self.result.storages[key] = (kind.name, count)
                self.stack[-1] = Made("storage")
                return
        self.found("pickle-persistent", "a persistent id that is no PyTorch storage", op)

    def changes(self, target: Any, op: Op) -> None:
        """Items are added to something by its own methods."""
        of = target.of if isinstance(target, Made) else None
        listed = isinstance(of, Global) and of.key in _GROWING
        if isinstance(target, Mapping) or of in _LITERAL or listed:
            return
        self.result.acts |= self.result.imports > 0
        self.found("pickle-call", f"{op.name} on what is no list, set or dictionary", op)

    def builds(self, target: Any, state: Any, op: Op) -> None:
        """A state is set. joblib's arrays follow their wrapper's."""
        self.result.acts |= self.result.imports > 0
        of = target.of if isinstance(target, Made) else None
        if self.setting.script and isinstance(of, Global) and of.module.startswith("__torch__"):
            return
        if not isinstance(of, Global) or of.key not in names.BUILT:
            self.found("pickle-call", "BUILD on what has no state of its own", op)
            return
        if of.key == names.WRAPPER:
            self.result.wrapped = True
            if self.setting.joblib:
                from stemma_registry.formats.joblib_arrays import pass_over  # it runs machines

                pass_over(self, state if isinstance(state, Mapping) else Mapping())


def _mark(m: Machine, _: Op) -> None:
    m.below.append(m.stack)
    m.stack = []


def _pop(m: Machine, _: Op) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.since_mark()


def _pop_mark(m: Machine, _: Op) -> None:
    m.since_mark()


def _stop(m: Machine, _: Op) -> None:
    m.result.stopped = True
    m.result.value = m.stack.pop()


def _proto(m: Machine, op: Op) -> None:
    if not isinstance(op.arg, int) or op.arg > 5:
        raise Fails(f"protocol {op.arg} is not known")
    m.result.protocol = op.arg


def _tuple(count: int) -> Callable[[Machine, Op], None]:
    def handle(m: Machine, _: Op) -> None:
        items = [m.stack.pop() for _ in range(count)][::-1]
        m.push(tuple(items))

    return handle


def _marked_tuple(m: Machine, _: Op) -> None:
    items = m.since_mark()
    m.push(tuple(items) if len(items) <= KEPT_ITEMS else Made("tuple"))


def _marked(kind: str) -> Callable[[Machine, Op], None]:
    def handle(m: Machine, _: Op) -> None:
        m.since_mark()
        m.push(Made(kind))

    return handle


def _dict(m: Machine, op: Op) -> None:
    items = m.since_mark() if op.name == "DICT" else []
    m.push(Mapping())
    _keep_items(m.stack[-1], items)


def _keep_items(target: Any, items: list[Any]) -> None:
    if isinstance(target, Mapping) and len(target.items) < KEPT_ITEMS:
        for key, value in zip(items[::2], items[1::2], strict=False):
            if isinstance(key, str) and len(target.items) < KEPT_ITEMS:
                target.items[key] = value


def _setitems(m: Machine, op: Op) -> None:
    items = m.since_mark() if op.name == "SETITEMS" else [m.stack.pop() for _ in range(2)][::-1]
    m.changes(m.stack[-1], op)
    _keep_items(m.stack[-1], items)


def _append(m: Machine, op: Op) -> None:
    if op.name == "APPEND":
        m.stack.pop()
    else:
        m.since_mark()
    m.changes(m.stack[-1], op)


def _put(m: Machine, op: Op) -> None:
    index = len(m.memo) if op.name == "MEMOIZE" else op.arg
    if not isinstance(index, int) or index < 0:
        raise Fails("a place in the memo that is out of range")
    if index >= MEMO_INDEX:  # some unpicklers get through this, with much memory
        m.found("pickle-malformed", f"place {index} in the memo", op)
    m.memo[index] = m.stack[-1]


def _get(m: Machine, op: Op) -> None:
    if not isinstance(op.arg, int):
        raise Fails("a place in the memo that is no number")
    m.push(m.memo[op.arg])


def _global(m: Machine, op: Op) -> None:
    assert isinstance(op.arg, tuple)  # noqa: S101 - the argument's kind is the opcode's
    m.push(m.named(*op.arg, op))


def _stack_global(m: Machine, op: Op) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.push(m.named(module, name, op))


def _reduce(m: Machine, op: Op) -> None:
    arguments = m.stack.pop()
    m.calls(m.stack.pop(), arguments, op)


def _new(m: Machine, op: Op) -> None:
    if op.name == "NEWOBJ_EX":
        m.stack.pop()
    arguments = m.stack.pop()
    m.calls(m.stack.pop(), arguments, op)


def _object(m: Machine, op: Op) -> None:
    first, *arguments = m.since_mark() or [None]
    if first is None:
        raise IndexError
    m.calls(first, tuple(arguments), op)


def _instance(m: Machine, op: Op) -> None:
    arguments = m.since_mark()
    assert isinstance(op.arg, tuple)  # noqa: S101 - the argument's kind is the opcode's
    m.calls(m.named(*op.arg, op), tuple(arguments), op)


def _build(m: Machine, op: Op) -> None:
    state = m.stack.pop()
    m.builds(m.stack[-1], state, op)


def _extension(m: Machine, op: Op) -> None:
    m.result.imports += 1
    m.result.plausible = True
    m.found("pickle-extension", f"{op.name} {op.arg}", op)
    m.push(UNKNOWN)


def _persistent(m: Machine, op: Op) -> None:
    m.result.imports += 1
    m.persistent(m.stack.pop() if op.name == "BINPERSID" else op.arg, op)


def _dup(m: Machine, _: Op) -> None:
    m.push(m.stack[-1])


def _nothing(m: Machine, op: Op) -> None:
    """A frame, or a promise about a buffer."""


_GROWING = frozenset({names.ORDERED, *names.CONTAINERS})
_LITERAL = frozenset({"list", "dict", "set", "tuple", "frozenset"})
_LITERALS = {
    "EMPTY_LIST": "list",
    "EMPTY_SET": "set",
    "NONE": "none",
    "NEWTRUE": "bool",
    "NEWFALSE": "bool",
    "NEXT_BUFFER": "buffer",
}
_HANDLERS: dict[str, Callable[[Machine, Op], None]] = {
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "STOP": _stop,
    "PROTO": _proto,
    "FRAME": _nothing,
    "READONLY_BUFFER": _nothing,
    "DUP": _dup,
    "EMPTY_TUPLE": _tuple(0),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": _marked_tuple,
    "LIST": _marked("list"),
    "FROZENSET": _marked("frozenset"),
    "EMPTY_DICT": _dict,
    "DICT": _dict,
    "SETITEM": _setitems,
    "SETITEMS": _setitems,
    "APPEND": _append,
    "APPENDS": _append,
    "ADDITEMS": _append,
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _put,
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _new,
    "NEWOBJ_EX": _new,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": _build,
    "EXT1": _extension,
    "EXT2": _extension,
    "EXT4": _extension,
    "PERSID": _persistent,
    "BINPERSID": _persistent,
}

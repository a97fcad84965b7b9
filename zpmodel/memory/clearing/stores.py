"""The ways a kernel clears memory, as instructions: string store, non-temporal store, clzero (x86-64)."""

# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def, no-untyped-call, call-arg, unreachable"

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from zpmodel.base.accelerate import kernel

# numba itself needs no assembler, so it does not start one.
binding.initialize_native_asmparser()

_I64 = ir.IntType(64)


def _assemble(builder, text, constraints, arguments, returns=None):
    kind = ir.FunctionType(returns or ir.VoidType(), [_I64] * len(arguments))
    return builder.asm(kind, text, constraints, arguments, side_effect=True)


@intrinsic
def _rep_stosb(typing, address, count):
    def code(context, builder, signature, arguments):
        both = ir.LiteralStructType([_I64, _I64])
        values = [*arguments, ir.Constant(_I64, 0)]
        _assemble(builder, "rep stosb", "={rdi},={rcx},0,1,{rax},~{memory}", values, both)
        return

    return types.void(types.int64, types.int64), code


@intrinsic
def _movnti(typing, address):
    def code(context, builder, signature, arguments):
        _assemble(builder, "movnti $1, ($0)", "r,r,~{memory}", [arguments[0], ir.Constant(_I64, 0)])
        return

    return types.void(types.int64), code


@intrinsic
def _clzero(typing, address):
    def code(context, builder, signature, arguments):
        _assemble(builder, "clzero", "{rax},~{memory}", list(arguments))
        return

    return types.void(types.int64), code


@intrinsic
def _sfence(typing):
    def code(context, builder, signature, arguments):
        _assemble(builder, "sfence", "~{memory}", [])
        return

    return types.void(), code


@kernel
def clear_strings(address: int, region: int, call: int, calls: int) -> None:
    """Clear with ``rep stosb``: so many calls of ``call`` bytes, round a region [byte]."""
    at = 0
    for _ in range(calls):
        _rep_stosb(address + at, call)
        at += call
        if at + call > region:
            at = 0


@kernel
def clear_past_caches(address: int, region: int, call: int, calls: int) -> None:
    """Clear with ``movnti``, fenced after each call; arguments as :func:`clear_strings`."""
    at = 0
    for _ in range(calls):
        for word in range(address + at, address + at + call, 8):
            _movnti(word)
        _sfence()
        at += call
        if at + call > region:
            at = 0


@kernel
def clear_lines(address: int, region: int, call: int, calls: int) -> None:
    """Clear with ``clzero`` (AMD; 64-byte lines), fenced after each call; arguments as :func:`clear_strings`."""
    at = 0
    for _ in range(calls):
        for line in range(address + at, address + at + call, 64):
            _clzero(line)
        _sfence()
        at += call
        if at + call > region:
            at = 0

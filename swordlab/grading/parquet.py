"""What a parquet file says of itself in its footer: columns, types, compression, rows.

Format: https://github.com/apache/parquet-format (parquet.thrift, FileMetaData; Thrift's compact protocol).
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

MAGIC = b"PAR1"
TAIL = 8  # bytes: the footer's length and the magic number
TYPES = ("boolean", "int", "bigint", "int96", "float", "double", "binary", "fixed")
"""Hive's names of parquet's physical types, by their number."""
CODECS = ("none", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4_raw")
UTF8 = 0  # ConvertedType
OPTIONAL = 1  # FieldRepetitionType


class NotParquet(Exception):
    """The bytes are no parquet file."""


@dataclass(frozen=True)
class Footer:
    """One file's footer."""

    columns: tuple[tuple[str, str], ...]
    """Name and type (in Hive's words) of each column, in the file's order."""
    codecs: frozenset[str]
    """The compression of its column chunks."""
    rows: int


def footer(content: bytes) -> Footer:
    """The footer of a whole parquet file. Raises NotParquet."""
    if len(content) < TAIL + len(MAGIC) or content[:4] != MAGIC or content[-4:] != MAGIC:
        raise NotParquet(f"it begins with {content[:16]!r}")
    (length,) = struct.unpack("<i", content[-TAIL:-4])
    try:
        fields = _read_struct(TCompactProtocol(TMemoryBuffer(content[-TAIL - length : -TAIL])))
        return Footer(_columns(fields[2]), _codecs(fields.get(4, [])), fields[3])
    except (KeyError, IndexError, EOFError, TypeError, ValueError) as error:
        raise NotParquet(f"its footer cannot be read ({error})") from None


def without_rows(columns: Sequence[str], padding: int) -> bytes:
    """A parquet file of text columns that has no row, with `padding` bytes that no reader looks at."""
    leaves = [{1: TYPES.index("binary"), 3: OPTIONAL, 4: name, 6: UTF8} for name in columns]
    metadata = TMemoryBuffer()
    out = TCompactProtocol(metadata)
    _write_struct(out, {1: 1, 2: [{4: "root", 5: len(columns)}, *leaves], 3: Long(0), 4: []})
    content = bytes(metadata.getvalue())
    return MAGIC + bytes(padding) + content + struct.pack("<i", len(content)) + MAGIC


class Long(int):
    """A number of 64 bits."""


def _write_struct(out: Any, fields: dict[int, Any]) -> None:
    """A Thrift struct from field number -> number, text or list of structs."""
    out.writeStructBegin("")
    for number, value in fields.items():
        kind, write = _writer(out, value)
        out.writeFieldBegin("", kind, number)
        write(value)
        out.writeFieldEnd()
    out.writeFieldStop()
    out.writeStructEnd()


def _writer(out: Any, value: Any) -> tuple[int, Callable[[Any], None]]:
    if isinstance(value, list):
        return TType.LIST, lambda structs: _write_list(out, structs)
    if isinstance(value, str):
        return TType.STRING, out.writeString
    return (TType.I64, out.writeI64) if isinstance(value, Long) else (TType.I32, out.writeI32)


def _write_list(out: Any, structs: list[dict[int, Any]]) -> None:
    out.writeListBegin(TType.STRUCT, len(structs))
    for fields in structs:
        _write_struct(out, fields)
    out.writeListEnd()


def _columns(schema: list[dict[int, Any]]) -> tuple[tuple[str, str], ...]:
    """The leaves of the schema: 1 type, 4 name, 5 number of children, 6 converted type."""
    return tuple((_text(element[4]), _type(element)) for element in schema if not element.get(5))


def _type(element: dict[int, Any]) -> str:
    name = TYPES[element[1]]
    return "string" if name == "binary" and element.get(6) == UTF8 else name


def _codecs(row_groups: list[dict[int, Any]]) -> frozenset[str]:
    """4 codec of 3 meta_data of each of 1 columns."""
    return frozenset(CODECS[chunk[3][4]] for group in row_groups for chunk in group[1])


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _read_struct(protocol: Any) -> dict[int, Any]:
    """A Thrift struct as field number -> value, whatever its definition."""
    fields = {}
    protocol.readStructBegin()
    while True:
        _, kind, number = protocol.readFieldBegin()
        if kind == TType.STOP:
            break
        fields[number] = _read(protocol, kind)
        protocol.readFieldEnd()
    protocol.readStructEnd()
    return fields


def _read(protocol: Any, kind: int) -> Any:
    if kind == TType.STRUCT:
        return _read_struct(protocol)
    if kind in (TType.LIST, TType.SET):
        inner, size = protocol.readListBegin()
        values = [_read(protocol, inner) for _ in range(size)]
        protocol.readListEnd()
        return values
    readers: dict[int, Callable[[], Any]] = {
        TType.BOOL: protocol.readBool,
        TType.BYTE: protocol.readByte,
        TType.I16: protocol.readI16,
        TType.I32: protocol.readI32,
        TType.I64: protocol.readI64,
        TType.DOUBLE: protocol.readDouble,
        TType.STRING: protocol.readBinary,
    }
    return readers[kind]()

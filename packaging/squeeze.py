#!/usr/bin/env python3
"""Compresses again what nfpm and gzip have compressed: .deb and .rpm get a sixth smaller by liblzma, which has a filter
for x86, .apk and .tar.gz by libdeflate, which looks for the shortest stream where zlib takes the next match.

Usage: squeeze.py ARCH FILE

dpkg and rpm unpack by liblzma, which has that filter since 2009; the one for aarch64 came in 2022, too late for some
distributions, and is not used. A host needs 9 MB to unpack.
"""

import gzip
import hashlib
import lzma
import pathlib
import struct
import sys
import zlib

from deflate import gzip_compress

DICTIONARY = 8 << 20


def main():
    arch, file = sys.argv[1], pathlib.Path(sys.argv[2])
    squeeze = {".deb": deb, ".rpm": rpm, ".apk": apk, ".gz": tarball}[file.suffix]
    file.write_bytes(squeeze(file.read_bytes(), arch))


def compress(data, arch):
    last = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": DICTIONARY}
    first = [{"id": lzma.FILTER_X86}] if arch == "x86_64" else []
    # Of all that was tried, these suit the programs best: more context of what comes before, none of the place.
    last |= {"lc": 4, "lp": 0, "pb": 0 if first else 2}
    return lzma.compress(data, format=lzma.FORMAT_XZ, filters=[*first, last])


def deb(data, arch):
    """An ar archive (deb(5)): its member data.tar.xz is another one afterwards."""
    parts, at = [data[:8]], 8
    while at < len(data):
        head, size = data[at : at + 60], int(data[at + 48 : at + 58])
        body = data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
        if head.startswith(b"data.tar.xz"):
            body = compress(lzma.decompress(body), arch)
            head = head[:48] + b"%-10d" % len(body) + head[58:]
        parts += [head, body, b"\n" * (len(body) % 2)]
    return b"".join(parts)


def rpm(data, arch):
    """Lead, signature, header, payload (RPM v4): what says how long the payload is and what its digest is follows."""
    begin = 96
    header = align(begin + length(data, begin))
    payload = header + length(data, header)
    signature, head, old = data[begin:header], data[header:payload], data[payload:]
    new = compress(lzma.decompress(old), arch)
    told = replaced(head, hexdigest("sha256", old), hexdigest("sha256", new))
    signature = replaced(signature, hexdigest("sha256", head), hexdigest("sha256", told))
    signature = replaced(signature, hexdigest("sha1", head), hexdigest("sha1", told))
    signature = replaced(signature, hashlib.md5(head + old).digest(), hashlib.md5(told + new).digest())
    signature = replaced(signature, struct.pack(">I", len(head + old)), struct.pack(">I", len(told + new)))
    return data[:begin] + signature + told + new


def apk(data, _arch):
    """Two gzip streams (apk-v2): a tar of .PKGINFO and scripts, which has the hash of the other one, and the files."""
    stream = zlib.decompressobj(31)
    control = stream.decompress(data)
    old = stream.unused_data
    new = deflate(gzip.decompress(old))
    return deflate(replaced(control, hexdigest("sha256", old), hexdigest("sha256", new))) + new


def tarball(data, _arch):
    return deflate(gzip.decompress(data))


def deflate(data):
    """The best of its levels. The stream tells no time, and is the same with each build of that version."""
    return bytes(gzip_compress(data, 12))


def length(data, at):
    """That of a header: 16 bytes, as many again for each entry, and its store."""
    entries, store = struct.unpack(">II", data[at + 8 : at + 16])
    return 16 + 16 * entries + store


def align(at):
    return (at + 7) // 8 * 8


def hexdigest(kind, data):
    return hashlib.new(kind, data).hexdigest().encode()


def replaced(data, old, new):
    assert data.count(old) == 1, f"{old!r} is there {data.count(old)} times"
    return data.replace(old, new)


if __name__ == "__main__":
    main()

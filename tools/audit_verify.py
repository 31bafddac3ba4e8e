#!/usr/bin/env python3
"""Checks a bundle of the audit trail, independently of the program that made it.

    python3 audit_verify.py BUNDLE [--key NAME+ID+KEY] [--checkpoint FILE]... [--show SEQUENCE]

Needs nothing but Python 3.8. Ends with 0 if every entry is what was signed, with 1 if not, and with 2 if a file is no bundle.

A bundle is lines of JSON. The first has the public key and a signed checkpoint (C2SP tlog-checkpoint). Each further line is
an entry: the bytes of its leaf, or its leaf where its content was emptied by retention. The tree is that of RFC 6962.
"""
import argparse
import base64
import hashlib
import json
import struct
import sys

FORMAT = "sagabus-audit-bundle/1"
RULE = b"sagabus-audit-2"
COLUMNS = (
    "sequence id event_id time_ms recorded_ms service action actor_id actor_email resource resource_id outcome severity"
    " category correlation_id causation_id reason ip_address user_agent session_id tags duration_ms old_values new_values"
    " details"
).split()


class Tampered(Exception):
    """The trail is not what was signed."""


class NoBundle(Exception):
    """The file cannot be read as one of ours."""


# Ed25519 (RFC 8032), checking only.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def add(a, b):
    """Adds two points in extended coordinates."""
    m, n = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    o, q = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = n - m, q - o, q + o, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(number, point):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def is_same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def point_of(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def has_signed(key, text, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    owner, nonce = point_of(key), point_of(signature[:32])
    number = int.from_bytes(signature[32:], "little")
    if owner is None or nonce is None or number >= L:
        return False
    # A key or nonce of small order could sign more than one text.
    if is_same(multiply(8, owner), (0, 1, 1, 0)) or is_same(multiply(8, nonce), (0, 1, 1, 0)):
        return False
    hashed = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    return is_same(multiply(number, BASE), add(nonce, multiply(hashed, owner)))


# Signed notes.


def decoded(text):
    return base64.b64decode(text, validate=True)


class Key:
    def __init__(self, text):
        try:
            self.name, hint, key = text.strip().split("+", 2)
            key = decoded(key)
        except ValueError:
            raise NoBundle("the public key is not of the form name+id+key") from None
        self.id = hashlib.sha256(self.name.encode() + b"\n" + key).digest()[:4]
        if self.id.hex() != hint or key[:1] != b"\x01" or len(key) != 33:
            raise NoBundle("the public key is no Ed25519 key of this id")
        self.key = key[1:]

    def open(self, note):
        """Size and root of a checkpoint."""
        text, found, signatures = note.partition("\n\n")
        lines = text.split("\n")
        if not found or len(lines) != 3 or lines[0] != self.name:
            raise Tampered(f"the checkpoint is none of the log {self.name}")
        for line in signatures.split("\n"):
            parts = line.split(" ")
            if len(parts) == 3 and parts[0] == "\u2014" and parts[1] == self.name:
                try:
                    signature = decoded(parts[2])
                except ValueError:
                    continue
                if signature[:4] == self.id and has_signed(self.key, (text + "\n").encode(), signature[4:]):
                    return int(lines[1]), decoded(lines[2])
        raise Tampered("the checkpoint is not signed by the key")


# The tree.


def leaf_of(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


class Tree:
    """Grows leaf by leaf and remembers its complete subtrees."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, leaf):
        index = self.size
        while index & 1:
            leaf = hashlib.sha256(b"\x01" + self.peaks.pop() + leaf).digest()
            index >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = hashlib.sha256(b"\x01" + peak + root).digest()
        return root


# Entries.


def columns_of(entry):
    """The columns of an entry: each is a letter for its type, its length in eight bytes, and itself."""
    parts, at = [], 0
    while at < len(entry):
        kind, (length,) = entry[at : at + 1], struct.unpack(">Q", entry[at + 1 : at + 9])
        value, at = entry[at + 9 : at + 9 + length], at + 9 + length
        parts.append({b"n": None, b"i": int.from_bytes(value, "big", signed=True)}.get(kind, value) if kind in b"ni" else value)
    if at != len(entry) or not parts or parts[0] != RULE or len(parts) != len(COLUMNS) + 1:
        raise ValueError("not of the rule")
    return dict(zip(COLUMNS, parts[1:]))


def emptied_by(sequence, columns):
    """The ranges of entries before it of which an entry says that they were emptied."""
    if columns["action"] != b"audit.retention_applied" or columns["service"] != b"audit-service":
        return []
    try:
        ranges = [(int(a), int(b)) for a, b in json.loads(columns["details"])["ranges"]]
    except (ValueError, KeyError, TypeError):
        return []
    return [(a, b) for a, b in ranges if b < sequence]


def verify(lines, key, kept, show=None):
    """Checks a bundle and returns how many entries it has, how many are without content, and who signed it."""
    try:
        head = json.loads(next(lines, ""))
        if head["format"] != FORMAT:
            raise NoBundle(f"the file is not of the form {FORMAT}")
        key = Key(key or head["key"])
        note = head["checkpoint"]
    except (ValueError, KeyError, TypeError):
        raise NoBundle("the first line is not that of a bundle") from None
    signed_size, signed_root = key.open(note)
    ahead = sorted([(signed_size, signed_root)] + [key.open(note) for note in kept], reverse=True)
    tree, empty, covered = Tree(), [], []
    while True:
        while ahead and ahead[-1][0] == tree.size:
            if ahead.pop()[1] != tree.root():
                raise Tampered(f"the checkpoint of {tree.size} entries was signed of others")
        line = next(lines, None)
        if line is None:
            break
        sequence = tree.size + 1
        try:
            item = json.loads(line)
            if item["sequence"] != sequence:
                raise Tampered(f"entry {item['sequence']} stands in the place of entry {sequence}")
            if "leaf" in item:
                leaf = decoded(item["leaf"])
                empty.append(sequence)
            else:
                entry = decoded(item["entry"])
                leaf, columns = leaf_of(entry), columns_of(entry)
                covered += emptied_by(sequence, columns)
                if sequence == show:
                    for name, value in columns.items():
                        print(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise Tampered(f"entry {sequence} cannot be read: {error}") from None
        tree.push(leaf)
    if ahead:
        raise Tampered(f"the trail ends with entry {tree.size}, and a checkpoint of {ahead[0][0]} was signed")
    if tree.size > signed_size:
        raise Tampered(f"only {signed_size} of {tree.size} entries were signed")
    within = sorted(covered)
    at = 0
    for sequence in empty:
        while at < len(within) and within[at][1] < sequence:
            at += 1
        if at == len(within) or within[at][0] > sequence:
            raise Tampered(f"entry {sequence} is gone, and no entry says that it was emptied")
    return tree, len(empty), key


def main():
    parser = argparse.ArgumentParser(description="Checks a bundle of the audit trail.")
    parser.add_argument("bundle")
    parser.add_argument("--key", help="the public key that must have signed it; the bundle's own otherwise")
    parser.add_argument("--checkpoint", action="append", default=[], help="a checkpoint that was kept")
    parser.add_argument("--show", type=int, help="print the entry of this sequence")
    asked = parser.parse_args()
    try:
        kept = []
        for path in asked.checkpoint:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            kept.append(json.loads(text)["note"] if text.startswith("{") else text)
        with open(asked.bundle, encoding="utf-8") as lines:
            tree, empty, key = verify(lines, asked.key, kept, asked.show)
    except Tampered as error:
        print(f"TAMPERED: {error}")
        return 1
    except (NoBundle, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{tree.size} entries verified, root {tree.root().hex()}, {empty} emptied")
    print(f"signed by {key.name}+{key.id.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

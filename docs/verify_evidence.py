#!/usr/bin/env python3
"""Checks Sealpost evidence with nothing but Python's standard library.

    verify_evidence.py genesis.json evidence.json        exit 0: holds, 1: refused, 2: nothing was checked

Written from docs/protocol.md alone, as a stranger would: it shares no code with Sealpost. The numbers in
brackets are sections of that page. It is slow and plain on purpose; read it to convince yourself.
"""

import base64
import hashlib
import json
import re
import struct
import sys


class NotEvidence(Exception):
    """The file says nothing at all: exit code 2."""


class NotGenesis(Exception):
    """There is nothing to check against: exit code 2."""


class Refused(Exception):
    """The answer is no: exit code 1."""


def need(holds, why):
    if not holds:
        raise Refused(why)


# [2] Hashes

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def tagged(name, *parts):
    tag = sha256(b"sealpost/v1/" + name.encode())
    return sha256(tag, tag, *parts)


# [3] Signatures: BIP-340

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)


def add(a, b):
    if a is None:
        return b
    if b is None:
        return a
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(point, scalar):
    result = None
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def lift(x):
    """The point with that x and an even y, or None."""
    if x >= P:
        return None
    square = (pow(x, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    return x, y if y % 2 == 0 else P - y


def signature_holds(key, digest, signature):
    point, r, s = lift(int.from_bytes(key, "big")), signature[:32], int.from_bytes(signature[32:], "big")
    if point is None or int.from_bytes(r, "big") >= P or s >= N:
        return False
    tag = sha256(b"BIP0340/challenge")
    e = int.from_bytes(sha256(tag, tag, r, key, digest), "big") % N
    found = add(multiply(G, s), multiply(point, N - e))
    return found is not None and found[1] % 2 == 0 and found[0] == int.from_bytes(r, "big")


# [1] Encoding

class Reader:
    def __init__(self, data, limit):
        if len(data) > limit:
            raise NotEvidence(f"{len(data)} bytes, the limit is {limit}")
        self.data, self.at = data, 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise NotEvidence("the bytes end too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def u8(self):
        return self.number("B")

    def u16(self):
        return self.number("H")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def hash(self):
        return self.take(32)

    def bytes(self):
        return self.take(self.u64())

    def text(self):
        try:
            return self.bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotEvidence("a text that is not UTF-8") from error

    def list(self, read):
        count = self.u64()
        if count > len(self.data):
            raise NotEvidence("a list is longer than the bytes")
        return [read() for _ in range(count)]

    def optional(self, read):
        present = self.u8()
        if present > 1:
            raise NotEvidence("neither present nor absent")
        return read() if present else None

    def choice(self, *variants):
        number = self.u32()
        if number >= len(variants):
            raise NotEvidence(f"variant {number} is unknown")
        name, read = variants[number]
        return name, read() if read else None

    def end(self):
        if self.at != len(self.data):
            raise NotEvidence("bytes follow the end")


def whole(data, limit, read):
    reader = Reader(data, limit)
    value = read(reader)
    reader.end()
    return value


def read_header(r):
    names = ("version", "chain", "height", "time_ms", "parent", "transaction_count", "tx_root", "history_root",
             "state_root", "validators_hash", "next_validators_hash", "postage_price", "proposer")
    kinds = (r.u16, r.hash, r.u64, r.u64, r.hash, r.u32, r.hash, r.hash, r.hash, r.hash, r.hash, r.u64, r.hash)
    return {name: read() for name, read in zip(names, kinds)}


def read_certificate(r):
    return {"height": r.u64(), "round": r.u32(), "block": r.hash(),
            "signatures": r.list(lambda: (r.u16(), r.take(64)))}


def read_slot(r):
    recipient = r.choice(("named", lambda: (r.hash(), r.u64())), ("hidden", lambda: (r.take(33), r.u8())))
    return {"recipient": recipient, "ecies": r.take(129), "ml_kem": r.optional(r.bytes),
            "wrapped": r.take(48), "receipt_commit": r.hash()}


SUITES = ("ecies", "ecies+ml-kem-768")


def read_message(r):
    return {"suite": r.choice(*((suite, None) for suite in SUITES))[0],
            "mode": r.choice(("open", None), ("sealed", None))[0], "slots": r.list(lambda: read_slot(r)),
            "key_commit": r.hash(), "content_commit": r.hash(), "body_hash": r.hash(), "body_length": r.u32()}


REASONS = ("unspecified", "not-responsible", "unreadable", "unwanted", "other-channel")


def read_receipt(r):
    return {"message": r.hash(), "slot": r.u16(), "answer": r.choice(
        ("opened", r.hash), ("refused", lambda: r.choice(*((reason, None) for reason in REASONS))[0]))}


def read_author(r):
    return {"author": r.hash(), "recipients": r.list(r.hash), "blinding": r.hash(), "signature": r.take(64)}


def read_content(r):
    parts = lambda: (r.u64(), r.hash(), r.list(r.hash))
    letter = lambda: {"subject": r.text(), "text": r.text(), "continued": r.optional(parts),
                      "reply_to": r.optional(r.hash), "answers": r.list(lambda: read_receipt(r)),
                      "attachments": r.list(lambda: (r.text(), r.choice(("whole", r.bytes), ("parts", parts))))}
    return r.choice(("letter", letter), ("part", lambda: (r.take(16), r.u32(), r.bytes())))


def read_transaction(r):
    t = {"version": r.u16(), "chain": r.hash(), "sender": r.hash(), "expiry": r.u64()}
    approvals = lambda: r.list(lambda: (r.u16(), r.take(64)))
    t["payload"] = r.choice(
        ("message", lambda: read_message(r)), ("receipt", lambda: read_receipt(r)),
        ("bundle", lambda: (r.u64(), r.take(33), r.optional(r.bytes), r.u64())),
        ("revoke", lambda: (r.u64(), r.u64())), ("designate", lambda: (r.text(), r.hash())),
        ("validators", lambda: (r.list(lambda: (r.hash(), r.u64())), r.u64(), approvals())),
        ("member", lambda: (r.hash(), r.choice(("admitted", None), ("ended", None)), approvals())))
    t["nonce"] = r.u64()
    t["id"] = tagged("transaction", r.data[:r.at])
    t["signature"] = r.take(64)
    return t


def read_record(r):
    return {"sequence": r.u64(), "ecies": r.take(33), "ml_kem": r.optional(r.bytes), "valid_until": r.u64(),
            "transaction": r.hash(), "height": r.u64(), "withdrawn": r.optional(r.u64)}


def read_proof(r):
    return {"leaf": r.optional(lambda: (r.hash(), r.hash())), "siblings": r.list(r.hash)}


# [3] Addresses

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def read_address(written, prefix):
    """The key of an address of that network, or None."""
    address = written.lower()
    if written not in (address, written.upper()) or not address.startswith(prefix + "1"):
        return None
    data = [BECH32.find(letter) for letter in address[len(prefix) + 1:]]
    if len(data) != 53 + 6 or min(data) < 0:
        return None
    check = 1
    for value in [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + data:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> i & 1 else 0
    number = int("".join(f"{value:05b}" for value in data[:53]), 2)
    if check != 0x2BC830A3 or number & 1:  # 53 * 5 bits are one more than 33 bytes
        return None
    version, *key = (number >> 1).to_bytes(33, "big")
    return bytes(key) if version == 0 and lift(int.from_bytes(key, "big")) else None


# [4] Genesis

NUMBERS = {  # Form in the encoding, lowest and highest value.
    "limits": {"block_bytes": ("I", 65536, 8 << 20), "body_bytes": ("I", 1024, 4 << 20), "slots": ("H", 1, 256),
               "expiry_window": ("Q", 10, 10_000_000)},
    "postage": {"floor": ("Q", 0, 1 << 40), "strangers_percent": ("B", 1, 100),
                "member_quota_bytes": ("I", 0, 2**32 - 1)},
    "timing": {"block_interval_ms": ("I", 0, 60_000), "heartbeat_ms": ("I", 100, 86_400_000),
               "clock_drift_ms": ("I", 100, 3_600_000)},
}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def once(pairs):
    """An object, with each field once."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a field stands there twice")
    return dict(pairs)


def plain(digits):
    """A whole number as it may be written: -0 is none."""
    if digits[0] == "-":
        raise ValueError("a number below zero")
    return int(digits)


def number(value, low=0, high=2**64 - 1):
    if type(value) is not int or not low <= value <= high:
        raise NotGenesis(f"{value!r:.40}, allowed is {low} to {high}")
    return value


def fields(value, names):
    if not isinstance(value, dict) or set(value) != set(names):
        raise NotGenesis("a field is missing or unknown")
    return [value[name] for name in names]


def written(value, pattern):
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.DOTALL):
        raise NotGenesis(f"{value!r:.40} is no {pattern}")
    return value


def is_set(validators):
    """[12] Whether that is a set of validators, in its order."""
    return 1 <= len(validators) <= 1000 and validators == sorted(validators) \
        and len({key for key, _ in validators}) == len(validators) \
        and all(power > 0 and lift(int.from_bytes(key, "big")) for key, power in validators) \
        and sum(power for _, power in validators) < 1 << 63


def read_genesis(data):
    if len(data) > 1024 * 1024:
        raise NotGenesis("too long")
    g = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_int=plain)
    fields(g, "format chain_name address_prefix time_ms validators limits postage timing members "
              "retention_blocks".split())
    if g["format"] != "sealpost-genesis/1" or not isinstance(g["validators"], list) \
            or not isinstance(g["members"], list):
        raise NotGenesis("another format")
    prefix = written(g["address_prefix"], "[a-z0-9]{1,16}")
    encoded = text(g["format"]) + text(written(g["chain_name"], "[a-z0-9-]{1,64}")) + text(prefix)
    encoded += struct.pack("<QQ", number(g["time_ms"]), len(g["validators"]))
    validators = []
    for v in g["validators"]:
        name, key, power = fields(v, ("name", "public_key", "power"))
        validators.append((bytes.fromhex(written(key, "[0-9a-f]{64}")), number(power)))
        encoded += text(written(name, ".{1,64}")) + validators[-1][0] + struct.pack("<Q", power)
    for part, bounds in NUMBERS.items():
        for value, (form, low, high) in zip(fields(g[part], bounds), bounds.values()):
            encoded += struct.pack("<" + form, number(value, low, high))
    number(g["limits"]["body_bytes"], high=g["limits"]["block_bytes"] // 2)
    members = [read_address(written(member, "[!-~]*"), prefix) for member in g["members"]]
    if None in members or len(set(members)) < len(members):
        raise NotGenesis("a member that is no address, or twice")
    encoded += struct.pack("<Q", len(g["members"])) + b"".join(text(member) for member in g["members"])
    encoded += struct.pack("<Q", number(g["retention_blocks"]))
    if not is_set(sorted(validators)):
        raise NotGenesis("not a set of validators")
    return tagged("genesis", encoded), sorted(validators)


# [9] State

def state_place(variant, *parts):
    return tagged("state-key", struct.pack("<I", variant), *parts)


def bit(place, depth):
    return place[depth // 8] >> (7 - depth % 8) & 1


def state_proof_holds(proof, root, place, value_hash):
    """With a value hash: the entry is there with that value. With None: there is no such entry."""
    leaf, siblings = proof["leaf"], proof["siblings"]
    n = len(siblings)
    if n > 256 or (value_hash is not None and leaf != (place, value_hash)):
        return False
    if value_hash is None and leaf is not None:
        if leaf[0] == place or any(bit(leaf[0], depth) != bit(place, depth) for depth in range(n)):
            return False
    node = sha256(b"JMT::LeafNode", *leaf) if leaf else b"SPARSE_MERKLE_PLACEHOLDER_HASH__"
    for i, sibling in enumerate(siblings):
        pair = (sibling, node) if bit(place, n - 1 - i) else (node, sibling)
        node = sha256(b"JMT::IntrnalNode", *pair)
    return node == root


# [10] Merkle trees

def included(root, size, index, leaf, path):
    """RFC 9162, 2.1.3.2."""
    if index >= size:
        return False
    at, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = sha256(b"\x01", sibling, node)
            while at & 1 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha256(b"\x01", node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


# [12] Certificates

def validators_hash(validators):
    return tagged("validators", struct.pack("<Q", len(validators)),
                  *(key + struct.pack("<Q", power) for key, power in validators))


def check_certificate(header, header_hash, certificate, validators):
    need(certificate["height"] == header["height"] and certificate["block"] == header_hash,
         "a certificate is for another block")
    digest = tagged("vote", header["chain"], b"\x02", struct.pack("<QI", header["height"], certificate["round"]),
                    b"\x01", header_hash)
    previous, power = -1, 0
    for position, signature in certificate["signatures"]:
        need(previous < position < len(validators), "a signer is foreign, repeated or out of order")
        previous = position
        key, weight = validators[position]
        power += weight
        need(signature_holds(key, digest, signature), f"the signature of validator {position} is wrong")
    need(3 * power > 2 * sum(weight for _, weight in validators), "too few validators signed")


# [13] Evidence

SHAPE = {
    "format": str, "chain": "hex", "blocks": [{"header": "b64", "certificate": "b64"}],
    "validator_changes": [{"block": 64, "validators": [{"public_key": "hex", "power": 64}]}],
    "message": {"block": 64, "index": 32, "path": ["hex"], "transaction": "b64"},
    "receipts": [{"block": 64, "index": 32, "path": ["hex"], "transaction": "b64"}],
    "keys": [{"slot": 16, "block": 64, "record": "b64", "proof": "b64",
              "newest": {"record": "b64", "proof": "b64"}}],
    "absences": [{"slot": 16, "block": 64, "proof": "b64"}],
    "body": "b64", "disclosure": {"salt": "hex", "content": "b64", "author": "b64"},
}


def shaped(value, shape):
    """Reads JSON by its shape; every field once, none unknown, numbers of so many bits, each in its one spelling."""
    if isinstance(shape, list) and isinstance(value, list):
        return [shaped(element, shape[0]) for element in value]
    if isinstance(shape, dict) and isinstance(value, dict):
        optional = ("body", "disclosure", "author", "newest")
        missing = [name for name in shape if name not in value and name not in optional]
        if missing or any(name not in shape for name in value):
            raise NotEvidence("a field is missing or unknown")
        return {name: shaped(field, shape[name]) for name, field in value.items()}
    if type(shape) is int and type(value) is int and 0 <= value < 2**shape:
        return value
    if shape is str and isinstance(value, str):
        return value
    if shape == "hex" and isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return bytes.fromhex(value)
    if shape == "b64" and isinstance(value, str) and re.fullmatch("[A-Za-z0-9_-]*", value):
        data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == value:
            return data
    raise NotEvidence("a field has another type or spelling")


def read_evidence(data):
    if len(data) > 32 * 1024 * 1024:
        raise NotEvidence("too long")
    try:
        raw = json.loads(data.decode("utf-8"))
        # Python keeps the order of the file; the page's order is that of SHAPE.
        if not isinstance(raw, dict) or [n for n in SHAPE if n in raw] != list(raw):
            raise NotEvidence("fields are unknown or in another order")
        if json.dumps(raw, indent=2, ensure_ascii=False).encode() + b"\n" != data:
            raise NotEvidence("not in its canonical spelling")
        evidence = shaped(raw, SHAPE)
    except (ValueError, RecursionError) as error:
        raise NotEvidence(str(error)) from error
    if evidence["format"] != "sealpost-evidence/1":
        raise NotEvidence("another format")
    for order, entries in (((n for n in SHAPE["message"]), [raw["message"], *raw["receipts"]]),
                           (("slot", "block", "record", "proof"),
                            [{n: v for n, v in key.items() if n != "newest"} for key in raw["keys"]]),
                           (("record", "proof"), [key["newest"] for key in raw["keys"] if "newest" in key]),
                           ((n for n in SHAPE["absences"][0]), raw["absences"]),
                           ((n for n in SHAPE["blocks"][0]), raw["blocks"]),
                           ((n for n in SHAPE["disclosure"] if n in raw.get("disclosure", {})),
                            [raw["disclosure"]] if "disclosure" in raw else [])):
        order = list(order)
        if any(list(entry) != order for entry in entries):
            raise NotEvidence("fields are in another order")
    if any("newest" in key and list(key)[-1] != "newest" for key in raw["keys"]):
        raise NotEvidence("fields are in another order")
    for change in raw["validator_changes"]:
        if list(change) != ["block", "validators"] or any(
                list(v) != ["public_key", "power"] for v in change["validators"]):
            raise NotEvidence("fields are in another order")
    for change in evidence["validator_changes"]:
        if not is_set([(v["public_key"], v["power"]) for v in change["validators"]]):
            raise NotEvidence("not a set of validators")
    for block in evidence["blocks"]:
        block["header_bytes"] = block["header"]
        block["header"] = whole(block["header"], 512, read_header)
        block["certificate"] = whole(block["certificate"], 128 * 1024, read_certificate)
    for proven in [evidence["message"], *evidence["receipts"]]:
        proven["leaf"] = sha256(b"\x00", proven["transaction"])
        proven["transaction"] = whole(proven["transaction"], 512 * 1024, read_transaction)
    bundles = evidence["keys"] + [key["newest"] for key in evidence["keys"] if "newest" in key]
    for bundle in bundles:
        bundle["record_bytes"] = bundle["record"]
        bundle["record"] = whole(bundle["record"], 4096, read_record)
    for entry in bundles + evidence["absences"]:
        entry["proof"] = whole(entry["proof"], 10 * 1024, read_proof)
    disclosure = evidence.get("disclosure", {})
    if "author" in disclosure:
        disclosure["author"] = whole(disclosure["author"], 16 * 1024 * 1024, read_author)
    return evidence


# [7] Sealed mode

def check_author(author, sent, salt):
    """The author block of a sealed message: who wrote it and to whom, signed inside."""
    message, recipients = sent["payload"][1], author["recipients"]
    need(message["mode"] == "sealed", "an author block beside a message that is not sealed")
    need(len(recipients) == len(message["slots"]), "as many recipients as slots are needed")
    need(len(set(recipients)) == len(recipients), "a recipient twice")
    named = struct.pack("<Q", len(recipients)) + b"".join(recipients)
    need(tagged("salt", author["blinding"], author["author"], named) == salt,
         "the message was sent with another author or other recipients")
    context = struct.pack("<H", sent["version"]) + sent["chain"] + sent["sender"]
    context += struct.pack("<QIIQ", sent["expiry"], SUITES.index(message["suite"]), 1, len(recipients))
    for slot in message["slots"]:
        kind, (who, detail) = slot["recipient"]
        context += struct.pack("<I", 1) + who + bytes([detail]) if kind == "hidden" \
            else struct.pack("<I", 0) + who + struct.pack("<Q", detail)
    context_hash = tagged("context", context + message["content_commit"])
    digest = tagged("author", context_hash, named)
    need(signature_holds(author["author"], digest, author["signature"]), "the author block's signature is wrong")


def sealed_answers(content):
    """The receipts in a letter; none if the content is none, or has more than a letter may have."""
    try:
        kind, letter = whole(content, 8 * 1024 * 1024, read_content)
    except NotEvidence:
        return []
    if kind != "letter" or max(len(letter["answers"]), len(letter["attachments"])) > 10_000:
        return []
    return letter["answers"]


def standing(record, newest, at):
    """[13] What the state of the message's block says of the key that it names: the first of these that is so."""
    if record["withdrawn"] is not None and record["withdrawn"] <= at:
        return f"withdrawn from height {record['withdrawn']} on"
    if record["valid_until"] < at:
        return f"past its last height {record['valid_until']}"
    if newest:
        return f"superseded by bundle {newest['record']['sequence']} in block {newest['record']['height']}"
    return f"valid until {record['valid_until']}"


def check(genesis, data):
    """Returns what the evidence shows, line by line."""
    evidence = read_evidence(data)
    chain, validators = genesis
    need(evidence["chain"] == chain, "another genesis")

    blocks, used, previous, unlisted = {}, set(), -1, False
    changes = list(evidence["validator_changes"])
    for block in evidence["blocks"]:
        header = block["header"]
        height, header_hash = header["height"], tagged("block", block["header_bytes"])
        need(header["version"] == 1 and header["chain"] == chain, "a block of another version or chain")
        need(height > previous, "blocks repeat or are out of order")
        need(header["validators_hash"] == validators_hash(validators), "a block of other validators")
        need(not unlisted, "a block after a change of validators that the file leaves out")
        check_certificate(header, header_hash, block["certificate"], validators)
        previous, blocks[height] = height, header
        if changes and changes[0]["block"] == height:
            change = [(v["public_key"], v["power"]) for v in changes.pop(0)["validators"]]
            need(header["next_validators_hash"] == validators_hash(change) and change != validators,
                 "a validator change that the block does not announce")
            validators = change
            used.add(height)
        else:
            unlisted = header["next_validators_hash"] != header["validators_hash"]
    need(not changes, "a validator change without its block")

    def block_of(entry):
        need(entry["block"] in blocks, f"block {entry['block']} is not in the evidence")
        used.add(entry["block"])
        return blocks[entry["block"]]

    def check_transaction(proven, kind):
        header, t = block_of(proven), proven["transaction"]
        need(t["version"] == 1 and t["chain"] == chain, "a transaction of another version or chain")
        need(included(header["tx_root"], header["transaction_count"], proven["index"], proven["leaf"],
                      proven["path"]), "a transaction that is not in its block")
        need(signature_holds(t["sender"], t["id"], t["signature"]), "a transaction that its sender did not sign")
        need(t["payload"][0] == kind, f"not a {kind}")
        return t

    sent = check_transaction(evidence["message"], "message")
    message, at = sent["payload"][1], evidence["message"]["block"]
    lines = [f"message {sent['id'].hex()} signed by key {sent['sender'].hex()} in block {at}"]

    if len(message["slots"]) > 1:
        lines.append(f"one body, one key and one content for all {len(message['slots'])} recipients")

    def named(slot):
        need(slot < len(message["slots"]), "no such slot")
        kind, recipient = message["slots"][slot]["recipient"]
        need(kind == "named", "the slot's recipient is hidden")
        return recipient

    answered = {}
    for proven in evidence["receipts"]:
        t = check_transaction(proven, "receipt")
        receipt = t["payload"][1]
        slot, (kind, detail) = receipt["slot"], receipt["answer"]
        need(receipt["message"] == sent["id"], "a receipt for another message")
        need(not answered or slot > max(answered), "receipts repeat or are out of order")
        need(named(slot)[0] == t["sender"], "a receipt by somebody else")
        need(proven["block"] > at, "a receipt before its message was final")
        need(kind == "refused" or tagged("receipt", detail) == message["slots"][slot]["receipt_commit"],
             "a receipt with a wrong secret")
        answered[slot] = proven["block"]
        lines.append(f"slot {slot} {kind} in block {proven['block']}, signed by key {t['sender'].hex()}")

    for name in ("keys", "absences"):
        slots = [entry["slot"] for entry in evidence[name]]
        need(slots == sorted(set(slots)), f"{name} repeat or are out of order")
    for key in evidence["keys"]:
        address, sequence = named(key["slot"])
        need(key["block"] == at, "a key as of another block")
        root, directory = block_of(key)["state_root"], state_place(1, address)
        older, newest = state_place(2, address, struct.pack("<Q", sequence)), key.get("newest")
        for place, bundle in ((older if newest else directory, key), (directory, newest)):
            value = sha256(struct.pack("<I", 1), bundle["record_bytes"]) if bundle else None
            need(not bundle or state_proof_holds(bundle["proof"], root, place, value), "a key not in the state")
        need(not newest or newest["record"]["sequence"] > sequence, "a newer key that is not newer")
        need(key["record"]["sequence"] == sequence, "another key than the message names")
        lines.append(f"slot {key['slot']} names key bundle {sequence} of the recipient, published in block "
                     f"{key['record']['height']}, {standing(key['record'], newest, at)}")
    for absence in evidence["absences"]:
        slot, height, root = absence["slot"], absence["block"], block_of(absence)["state_root"]
        named(slot)
        need(height >= at and not answered.get(slot, height + 1) <= height, "an absence at a wrong height")
        need(height == max(h for h, header in blocks.items() if header["state_root"] == root),
             "a newer block has the same state")
        place = state_place(3, sent["id"], struct.pack("<H", slot))
        need(state_proof_holds(absence["proof"], root, place, None), "an answer is in the state")
        lines.append(f"slot {slot} not answered up to block {height}")

    if "body" in evidence:
        body = evidence["body"]
        need(tagged("body", body) == message["body_hash"] and len(body) == message["body_length"], "another body")
        lines.append(f"encrypted body of {len(body)} bytes")
    if "disclosure" in evidence:
        salt, content = evidence["disclosure"]["salt"], evidence["disclosure"]["content"]
        need(tagged("content", salt, content) == message["content_commit"], "another content")
        lines.append(f"content of {len(content)} bytes, committed to by the sender")
        if "author" in evidence["disclosure"]:
            author = evidence["disclosure"]["author"]
            check_author(author, sent, salt)
            lines.append(f"written by key {author['author'].hex()} to "
                         + ", ".join(recipient.hex() for recipient in author["recipients"]))
            for receipt in sealed_answers(content):
                kind, detail = receipt["answer"]
                detail = f"receipt commitment {tagged('receipt', detail).hex()}" if kind == "opened" else detail
                lines.append(f"answer inside: slot {receipt['slot']} of message {receipt['message'].hex()} "
                             f"{kind}, {detail}")
    need(used == set(blocks), "a block that proves nothing")
    return lines


def main():
    # What the terminal can't show, as a file's name may be, is no reason to end with another exit code.
    sys.stdout.reconfigure(errors="backslashreplace")
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    try:
        with open(sys.argv[1], "rb") as file:
            genesis = read_genesis(file.read())
    except (OSError, ValueError, RecursionError, NotGenesis) as error:
        print(f"{sys.argv[1]}: not a genesis file ({error!r}); it is the first argument")
        return 2
    try:
        with open(sys.argv[2], "rb") as file:
            data = file.read()
    except OSError as error:
        print(f"{sys.argv[2]}: it can't be read ({error!r}); it is the second argument")
        return 2
    try:
        for line in check(genesis, data):
            print(line)
    except NotEvidence as error:
        print(f"not an evidence file: {error}")
        return 2
    except Refused as error:
        print(f"refused: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Opens a Sealpost message, given the transaction, its body and the recipient's keys; and checks a disclosure.

Written from docs/protocol.md alone, with packages from PyPI alone: an independent reader of the format. It needs
eciespy, which brings coincurve and pycryptodome, and cryptography (for ML-KEM-768).

One JSON object per line in, one out. To open: `transaction`, `body`, `slot`, and the keys of the bundle that the
slot names, `ecies` and `ml_kem_seed`, all but `slot` in hexadecimal. To check a disclosure, which needs no keys:
`transaction`, `salt`, `content`. The answer is what was found, or `refused` with the first check that failed.
"""

import hashlib
import hmac
import json
import sys

import ecies
from coincurve import PublicKeyXOnly
from Crypto.Cipher import ChaCha20_Poly1305
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey


class Refused(Exception):
    """A check of the page failed; says which."""


# -- 1. Encoding ---------------------------------------------------------------------------------------


class Reader:
    """Reads the one encoding; `malformed` for anything else."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise Refused("malformed")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, length):
        return int.from_bytes(self.take(length), "little")

    def bytes(self):
        return self.take(self.number(8))

    def text(self):
        try:
            return self.bytes().decode()
        except UnicodeDecodeError:
            raise Refused("malformed") from None

    def list(self, item):
        count = self.number(8)
        # Every item has at least a byte: nothing is made for a count that can't be.
        if count > len(self.data) - self.at:
            raise Refused("malformed")
        return [item(self) for _ in range(count)]

    def optional(self, item):
        present = self.number(1)
        if present > 1:
            raise Refused("malformed")
        return item(self) if present else None

    def choice(self, count):
        number = self.number(4)
        if number >= count:
            raise Refused("malformed")
        return number

    def end(self):
        if self.at != len(self.data):
            raise Refused("malformed")


def u16(number):
    return number.to_bytes(2, "little")


def u32(number):
    return number.to_bytes(4, "little")


def u64(number):
    return number.to_bytes(8, "little")


# -- 2. Hashes -----------------------------------------------------------------------------------------


def tagged(name, data):
    tag = hashlib.sha256(b"sealpost/v1/" + name.encode()).digest()
    return hashlib.sha256(tag + tag + data).digest()


# -- 5. and 6. Transactions that are messages ----------------------------------------------------------


def read_recipient(reader):
    """What a slot says about its recipient, and how it is encoded."""
    start = reader.at
    if reader.choice(2) == 0:
        named = {"address": reader.take(32), "bundle": reader.number(8)}
    else:
        named = None
        reader.take(33 + 1)
    return named, reader.data[start : reader.at]


def read_slot(reader):
    named, recipient = read_recipient(reader)
    slot = {"named": named, "recipient": recipient, "ecies_share": reader.take(129)}
    slot["ml_kem_share"] = reader.optional(Reader.bytes)
    slot["wrapped_key"] = reader.take(48)
    slot["receipt_commit"] = reader.take(32)
    return slot


def read_message(data):
    """A signed transaction whose payload is a message."""
    reader = Reader(data)
    message = {"version": reader.number(2), "chain": reader.take(32), "sender": reader.take(32)}
    message["expiry"] = reader.number(8)
    if reader.choice(7) != 0:
        raise Refused("not_a_message")
    message["suite"], message["mode"] = reader.choice(2), reader.choice(2)
    message["slots"] = reader.list(read_slot)
    for field in ("key_commit", "content_commit", "body_hash"):
        message[field] = reader.take(32)
    message["body_length"] = reader.number(4)
    reader.take(8)  # the nonce
    message["id"] = tagged("transaction", data[: reader.at])
    signature = reader.take(64)
    reader.end()
    if message["version"] != 1:
        raise Refused("malformed")
    for slot in message["slots"]:
        share = slot["ml_kem_share"]
        if (share is None) != (message["suite"] == 0) or (share is not None and len(share) != 1088):
            raise Refused("malformed")
    try:
        signed = PublicKeyXOnly(message["sender"]).verify(signature, message["id"])
    except ValueError:
        signed = False
    if not signed:
        raise Refused("signature")
    return message


# -- 7. The envelope -----------------------------------------------------------------------------------


def context_hash(message):
    context = u16(message["version"]) + message["chain"] + message["sender"] + u64(message["expiry"])
    context += u32(message["suite"]) + u32(message["mode"]) + u64(len(message["slots"]))
    context += b"".join(slot["recipient"] for slot in message["slots"]) + message["content_commit"]
    return tagged("context", context)


def hkdf(secret, info):
    return HKDF(secret, 32, b"", SHA256, context=info)


def xchacha(key, nonce, context, data, failure):
    if len(data) < 16:
        raise Refused(failure)
    cipher = ChaCha20_Poly1305.new(key=key, nonce=nonce)
    cipher.update(context)
    try:
        return cipher.decrypt_and_verify(data[:-16], data[-16:])
    except ValueError:
        raise Refused(failure) from None


def slot_keys(slot, context, keys):
    """The wrap key and the receipt secret."""
    # eciespy takes the prefixes 6 and 7, too; the protocol has one way of writing a key.
    if slot["ecies_share"][0] != 4:
        raise Refused("slot")
    try:
        shares = ecies.decrypt(keys["ecies"], slot["ecies_share"])
        if slot["ml_kem_share"] is not None:
            shares += MLKEM768PrivateKey.from_seed_bytes(keys["ml_kem_seed"]).decapsulate(slot["ml_kem_share"])
    except Exception:
        # Whatever a library says of bytes that were not made for this key.
        raise Refused("slot") from None
    if len(shares) != (32 if slot["ml_kem_share"] is None else 64):
        raise Refused("slot")
    info = b"sealpost/v1/slot-key" + context + slot["ecies_share"]
    info += (slot["ml_kem_share"] or b"") + slot["recipient"]
    slot_key = hkdf(shares, info)
    return hkdf(slot_key, b"sealpost/v1/wrap-key"), hkdf(slot_key, b"sealpost/v1/receipt-secret")


def padded_length(length):
    if length <= 1024:
        return max(64, 1 << (length - 1).bit_length())
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return (length + step - 1) // step * step


def unpad(plaintext):
    """Salt and content."""
    if len(plaintext) < 36:
        raise Refused("padding")
    end = 36 + int.from_bytes(plaintext[32:36], "little")
    if end > len(plaintext) or padded_length(end) != len(plaintext) or any(plaintext[end:]):
        raise Refused("padding")
    return plaintext[:32], plaintext[36:end]


def open_slot(message, body, number, keys):
    """Opens a slot, with the checks in the order of the page."""
    if message["mode"] != 0 or number >= len(message["slots"]):
        raise Refused("not_for_us")
    slot = message["slots"][number]
    if len(body) != message["body_length"] or tagged("body", body) != message["body_hash"]:
        raise Refused("body_hash")
    context = context_hash(message)
    wrap_key, receipt_secret = slot_keys(slot, context, keys)
    content_key = xchacha(wrap_key, bytes(24), context, slot["wrapped_key"], "slot")
    if not hmac.compare_digest(tagged("key", context + content_key), message["key_commit"]):
        raise Refused("key_commit")
    if not hmac.compare_digest(tagged("receipt", receipt_secret), slot["receipt_commit"]):
        raise Refused("receipt_commit")
    body_key = hkdf(content_key, b"sealpost/v1/body-key" + context)
    if len(body) < 24:
        raise Refused("body")
    salt, content = unpad(xchacha(body_key, body[:24], context, body[24:], "body"))
    check_disclosure(message, salt, content)
    return {"salt": salt.hex(), "receipt_secret": receipt_secret.hex(), "content": content.hex()}


def check_disclosure(message, salt, content):
    if tagged("content", salt + content) != message["content_commit"]:
        raise Refused("content_commit")


# -- 7. Content ----------------------------------------------------------------------------------------


def read_parts(reader):
    return {
        "length": reader.number(8),
        "sha256": reader.take(32).hex(),
        "messages": [id.hex() for id in reader.list(lambda reader: reader.take(32))],
    }


def read_attachment(reader):
    name = reader.text()
    if reader.choice(2) == 0:
        data = reader.bytes()
        return {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {"name": name, "parts": read_parts(reader)}


def read_receipt(reader):
    receipt = {"message": reader.take(32).hex(), "slot": reader.number(2)}
    if reader.choice(2) == 0:
        return {**receipt, "opened": reader.take(32).hex()}
    return {**receipt, "refused": reader.choice(5)}


def read_content(data):
    reader = Reader(data)
    try:
        if reader.choice(2) == 0:
            content = {"subject": reader.text(), "text": reader.text()}
            content["continued"] = reader.optional(read_parts)
            reply_to = reader.optional(lambda reader: reader.take(32))
            content["reply_to"] = reply_to and reply_to.hex()
            content["answers"] = reader.list(read_receipt)
            content["attachments"] = reader.list(read_attachment)
        else:
            content = {"parcel": reader.take(16).hex(), "number": reader.number(4)}
            content["bytes"] = len(reader.bytes())
        reader.end()
    except Refused:
        raise Refused("content") from None
    return content


# -- Asking --------------------------------------------------------------------------------------------


def answer(question):
    raw = {name: bytes.fromhex(value) for name, value in question.items() if name != "slot"}
    message = read_message(raw["transaction"])
    found = {"id": message["id"].hex()}
    if "content" in raw:
        check_disclosure(message, raw["salt"], raw["content"])
        return {**found, "letter": read_content(raw["content"])}
    opened = open_slot(message, raw["body"], question["slot"], raw)
    return {**found, **opened, "letter": read_content(bytes.fromhex(opened["content"]))}


def main():
    for line in sys.stdin:
        try:
            found = answer(json.loads(line))
        except Refused as refused:
            found = {"refused": str(refused)}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

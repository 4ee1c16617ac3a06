"""Opens ECIES ciphertexts with eciespy.

A line in: secret key and ciphertext, in hexadecimal. A line out: "opened" and the plaintext, or "refused".
"""

import sys

from ecies import decrypt


def verdict(secret, ciphertext):
    try:
        return f"opened {decrypt(secret, ciphertext).hex()}"
    except Exception:  # Whatever it throws, it refuses.
        return "refused"


# All of it is read before anything is said, so that neither side waits for the other.
for line in sys.stdin.read().splitlines():
    print(verdict(*map(bytes.fromhex, line.split(" "))))

"""Opens an ECIES ciphertext with eciespy, and seals the same share with it.

One line in: secret key, public key, ciphertext, share. One line out: what was opened, what was sealed.
"""

from ecies import decrypt, encrypt

secret, public, ciphertext, share = input().split()
opened = decrypt(secret, bytes.fromhex(ciphertext))
print(opened.hex(), encrypt(public, bytes.fromhex(share)).hex())

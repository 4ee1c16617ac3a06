"""Reads exported letters with Python's own standard library, and says what is in them as JSON.

usage: read_mail.py mbox FILE | read_mail.py eml DIR
"""

import email
import email.policy
import email.utils
import json
import mailbox
import pathlib
import re
import sys


def described(message):
    # What the parser had to forgive stands in `defects`.
    defects = [repr(defect) for part in message.walk() for defect in part.defects]
    for name in message.keys():
        defects += [f"{name}: {defect!r}" for defect in message[name].defects]
    body = message.get_body(("plain",))
    files = [(part.get_filename(), list(part.get_payload(decode=True))) for part in message.iter_attachments()]
    addresses = [[a.display_name, a.addr_spec] for a in message["From"].addresses + message["To"].addresses]
    return {
        "defects": defects,
        "subject": message["Subject"],
        "people": addresses,
        "time": message["Date"].datetime.isoformat(),
        "message_id": message["Message-ID"],
        "in_reply_to": message["In-Reply-To"],
        "references": message["References"],
        "id": message["X-Sealpost-Id"],
        "chain": message["X-Sealpost-Chain"],
        "block": message["X-Sealpost-Block"],
        "direction": message["X-Sealpost-Direction"],
        "verified": message["X-Sealpost-Verified"],
        "text": body.get_content(),
        "files": files,
        "injected": message["X-Injected"],
    }


def parse(data):
    return described(email.message_from_bytes(data, policy=email.policy.default))


def unquoted(data):
    # mailbox reads mboxo and leaves the quotes; in mboxrd each `>From ` loses one.
    return re.sub(rb"(?m)^>(>*From )", rb"\1", data)


kind, path = sys.argv[1:]
if kind == "mbox":
    box = mailbox.mbox(path, create=False)
    letters = [parse(unquoted(box.get_bytes(key))) for key in box.keys()]
else:
    letters = [parse(file.read_bytes()) for file in sorted(pathlib.Path(path).glob("*.eml"))]
json.dump(letters, sys.stdout)

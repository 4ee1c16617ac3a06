"""A client of `sealpost serve`, with Python's standard library alone.

    python3 serve_client.py notice SOCKET TOKEN_FILE TO FILE      send a notice; wait until TO has answered; write the
                                                                  evidence to FILE and check it
    python3 serve_client.py answer SOCKET TOKEN_FILE              wait for a message, read it, say that it was opened

The class is all that a program of your own needs. docs/serve.md has the methods.
"""

import json
import socket
import sys
import time


class Refused(Exception):
    """The wallet said no: `code` is a stable one from docs/errors.md."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["data"]["code"]
        self.help = error["data"].get("help")


class Wallet:
    """A connection to a wallet that is served on this machine."""

    def __init__(self, path, token_file):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.asked = 0
        self.notifications = []
        with open(token_file) as file:
            self.welcome = self.ask("authenticate", token=file.read().strip())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()

    def _next(self):
        line = self.lines.readline()
        if not line:
            raise ConnectionError("the wallet ended the connection")
        return json.loads(line)

    def ask(self, method, **params):
        """Asks, and waits for the answer."""
        self.asked += 1
        request = {"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._next()
            if "method" in answer:
                self.notifications.append(answer)
            elif "error" in answer:
                raise Refused(answer["error"])
            else:
                return answer["result"]

    def notification(self):
        """The next thing that is told without a question; waits for it."""
        return self.notifications.pop(0) if self.notifications else self._next()


def notice(wallet, to, file):
    """Sends a notice and keeps the evidence that it was opened."""
    sent = wallet.ask("send", to=[to], subject="Lift", text="The lift is out of service.")
    print("final in block", sent["height"], flush=True)
    while wallet.ask("status", id=sent["id"])["slots"][0]["answer"] == "silent":
        time.sleep(0.5)
    made = wallet.ask("evidence_create", id=sent["id"], disclose=True)
    with open(file, "x") as out:
        out.write(made["evidence"])
    checked = wallet.ask("evidence_verify", evidence=made["evidence"])
    print("valid" if checked["valid"] else "not valid", "-", len(checked["facts"]), "facts")


def answer(wallet):
    """Waits for a message, reads it, and signs that it was opened."""
    # Followed before the list is asked for, so that nothing falls between the two.
    wallet.ask("inbox_follow")
    known = wallet.ask("inbox")["messages"]
    entry = known[0] if known else wallet.notification()["params"]
    letter = wallet.ask("read", id=entry["id"])
    print(f"{letter['contact']}: {letter['subject']}: {letter['text']}")
    print("answered in block", wallet.ask("receipt_give", id=entry["id"])["height"])


def main():
    commands = {"notice": (notice, 6), "answer": (answer, 4)}
    command, arguments = commands.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if command is None or len(sys.argv) != arguments:
        sys.exit(__doc__)
    try:
        with Wallet(sys.argv[2], sys.argv[3]) as wallet:
            command(wallet, *sys.argv[4:])
    except Refused as refused:
        sys.exit(f"{refused.code}: {refused}" + (f"\n{refused.help}" if refused.help else ""))


if __name__ == "__main__":
    main()

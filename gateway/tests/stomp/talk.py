"""Two accounts by PyPI's stomp.py over WebSocket, which nobody here wrote, against a real node. `main.rs` starts it with what it needs as JSON
in the first argument, and reads its last line. Each check throws; the process ends with 1 then."""

import json
import queue
import sys
import threading

import stomp

FACTS = json.loads(sys.argv[1])
CHANNEL = f"/channel/{FACTS['channel']}"
PATIENCE_S = 40


class Heard(stomp.ConnectionListener):
    """What a connection is told, by kind."""

    def __init__(self):
        self.connected, self.messages, self.receipts = queue.Queue(), queue.Queue(), queue.Queue()
        self.errors, self.beats, self.gone = [], 0, threading.Event()

    def on_connected(self, frame):
        self.connected.put(frame.headers)

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers)

    def on_error(self, frame):
        self.errors.append(frame)

    def on_heartbeat(self):
        self.beats += 1

    def on_disconnected(self):
        self.gone.set()

    def message(self):
        return self.messages.get(timeout=PATIENCE_S)

    def receipt(self, name):
        headers = self.receipts.get(timeout=PATIENCE_S)
        assert headers["receipt-id"] == name, headers
        return headers


def connect(who, device, **more):
    host, port = FACTS["ws"].removeprefix("ws://").rsplit(":", 1)
    connection = stomp.WSStompConnection(
        [(host, int(port))],
        ws_path="/connection/websocket",
        header={"Sec-WebSocket-Protocol": "v12.stomp"},
        heartbeats=(5000, 5000),
        **more,
    )
    heard = Heard()
    connection.set_listener("heard", heard)
    connection.connect(device, FACTS[who]["token"], wait=True)
    headers = heard.connected.get(timeout=PATIENCE_S)
    assert (headers["version"], headers["user-name"]) == ("1.2", FACTS[who]["id"]), headers
    return connection, heard


ann, ann_heard = connect("ann", "ann-py")
bob, bob_heard = connect("bob", "bob-py", binary_mode=True)
bob.subscribe(CHANNEL, id="live", ack="client-individual", headers={"receipt": "subscribed"})
bob_heard.receipt("subscribed")

first = None
for number in range(20):
    body = f"{number}: \\ : 보라\n"
    ann.send(CHANNEL, body, headers={"receipt": f"r{number}"})
    seq = int(ann_heard.receipt(f"r{number}")["x-seq"])
    first = first or seq
    message = bob_heard.message()
    assert (message.body, int(message.headers["x-seq"])) == (body, seq), message
    assert message.headers["x-from"] == FACTS["ann"]["id"], message.headers
    bob.ack(message.headers["ack"])
bob.send(CHANNEL, "in a binary message", headers={"receipt": "binary"})
bob_heard.receipt("binary")

# A transaction, and a replay of all of it.
transaction = ann.begin()
ann.send(CHANNEL, "in a transaction", headers={"transaction": transaction})
ann.commit(transaction, headers={"receipt": "committed"})
ann_heard.receipt("committed")
ann.subscribe(CHANNEL, id="replay", ack="auto", headers={"x-after-seq": str(first - 1)})
bodies = [ann_heard.message().body for _ in range(22)]
assert bodies[20:] == ["in a binary message", "in a transaction"], bodies

# Both beat, and neither gives the other up.
assert not bob_heard.gone.wait(12), "the heart-beats hold"
assert bob_heard.beats >= 1, bob_heard.beats

# What is refused ends the connection with an ERROR that names the receipt.
ann.send("/channel/1", "to a channel that is not there", headers={"receipt": "refused"})
assert ann_heard.gone.wait(PATIENCE_S)
(error,) = ann_heard.errors
assert (error.headers["receipt-id"], error.headers["x-code"]) == ("refused", "102"), error.headers

bob.disconnect(receipt="bye")
assert bob_heard.gone.wait(PATIENCE_S)
assert not bob_heard.errors, bob_heard.errors
print("OK")

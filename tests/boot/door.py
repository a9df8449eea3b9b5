"""A device at the front door: publishes, counts what was acked, waits for messages."""

import threading
import time

import paho.mqtt.client as mqtt


def client(name):
    version = getattr(mqtt, "CallbackAPIVersion", None)
    return mqtt.Client(version.VERSION1, name) if version else mqtt.Client(name)


class Door:
    def __init__(self, port, name="boot-test"):
        self.port, self.seen, self.acked, self.ids = port, [], set(), {}
        self.lock = threading.Condition()
        self.client = client(name)
        self.client.on_message = self.on_message
        self.client.on_publish = self.on_publish

    def on_message(self, _client, _data, message):
        with self.lock:
            self.seen.append((message.topic, message.payload))
            self.lock.notify_all()

    def on_publish(self, _client, _data, mid):
        with self.lock:
            self.acked.add(mid)
            self.lock.notify_all()

    def connect(self, filters, alive, limit=420):
        """Tries until the door opens; `alive` is asked in between."""
        end = time.monotonic() + limit
        while True:
            alive()
            try:
                self.client.connect("127.0.0.1", self.port, keepalive=600)
                break
            except OSError:
                if time.monotonic() > end:
                    raise SystemExit("boot: the front door does not open")
                time.sleep(0.5)
        answered = threading.Event()
        self.client.on_connect = lambda *_: answered.set()
        self.client.loop_start()
        # The forwarded port is open before the guest is: only a CONNACK counts.
        while not answered.wait(5):
            alive()
            if time.monotonic() > end:
                raise SystemExit("boot: the front door does not answer")
        for topic in filters:
            self.client.subscribe(topic, 1)

    def publish(self, topic, payload):
        return self.client.publish(topic, payload, qos=1).mid

    def wait(self, wanted, limit=120):
        """The first message that `wanted(topic, payload)` takes, old ones among them."""
        end = time.monotonic() + limit
        with self.lock:
            at = 0
            while True:
                while at < len(self.seen):
                    if wanted(*self.seen[at]):
                        return self.seen[at]
                    at += 1
                if not self.lock.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    return None

    def ask(self, topic, payload, answer, limit=120):
        """Publishes again and again until an answer comes at a topic."""
        end = time.monotonic() + limit
        with self.lock:
            self.seen.clear()
        while time.monotonic() < end:
            self.publish(topic, payload)
            found = self.wait(lambda t, _: t == answer, 0.5)
            if found:
                return found
        return None

    def close(self):
        self.client.loop_stop()

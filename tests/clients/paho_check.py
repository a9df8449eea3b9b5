#!/usr/bin/env python3
"""Plays two devices with the paho library, which most Python devices use.

usage: paho_check.py HOST PORT 3|5

Publishes telemetry with QoS 0 and 1, expects the reactions of `overheat`; checks wildcards, kept
messages and a will. Works with paho 1.6 and 2. Exit status 0 when all came.
"""
import json
import queue
import sys
import time

import paho.mqtt.client as mqtt

PATIENCE_S = 10


class Device:
    """One connected client whose messages wait in a queue."""

    def __init__(self, name, host, port, version, will=None):
        protocol = mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311
        if hasattr(mqtt, "CallbackAPIVersion"):
            self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, client_id=name, protocol=protocol)
        else:
            self.client = mqtt.Client(client_id=name, protocol=protocol)
        self.messages = queue.Queue()
        self.events = queue.Queue()
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        # Version 5 calls with one argument more.
        self.client.on_connect = lambda *args: self.events.put(("connect", args[3]))
        self.client.on_subscribe = lambda *args: self.events.put(("subscribe", args[3]))
        if will:
            self.client.will_set(will, "gone", qos=1)
        self.client.connect(host, port, keepalive=30)
        self.client.loop_start()
        code = self.event("connect")
        assert code == 0, f"{name}: CONNACK {code}"

    def event(self, kind):
        got, value = self.events.get(timeout=PATIENCE_S)
        assert got == kind, f"{got}, not {kind}"
        return value

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        self.event("subscribe")

    def publish(self, topic, payload, qos=0, retain=False):
        info = self.client.publish(topic, payload, qos=qos, retain=retain)
        info.wait_for_publish()

    def expect(self, what):
        try:
            return self.messages.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"nothing came: {what}") from None

    def vanish(self):
        """Cuts the connection without a word."""
        self.client.loop_stop()
        self.client.socket().close()


def main():
    host, port, version = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    device = Device(f"paho-device-{version}", host, port, version, will=f"paho{version}/will")
    watcher = Device(f"paho-watcher-{version}", host, port, version)
    watcher.subscribe("devices/+/cmd", 1)
    watcher.subscribe(f"paho{version}/#", 1)
    for seq, qos in enumerate([0, 1, 0, 1, 1]):
        telemetry = json.dumps({"temp": 71.3, "unit": "C", "seq": seq})
        device.publish(f"devices/paho{version}/telemetry", telemetry, qos=qos)
        message = watcher.expect(f"the reaction to {seq}")
        assert message.topic == f"devices/paho{version}/cmd", message.topic
        reaction = json.loads(message.payload)
        assert reaction == {"fan": "on", "ewma": 71.3, "seq": seq}, reaction
    device.publish(f"paho{version}/kept", "kept", qos=1, retain=True)
    assert watcher.expect("the live copy").payload == b"kept"
    late = Device(f"paho-late-{version}", host, port, version)
    late.subscribe(f"paho{version}/+", 1)
    message = late.expect("the kept message")
    assert message.payload == b"kept" and message.retain, (message.payload, message.retain)
    device.publish(f"paho{version}/kept", "", qos=1, retain=True)
    assert watcher.expect("the empty one").payload == b""
    device.vanish()
    message = watcher.expect("the will")
    assert (message.topic, message.payload) == (f"paho{version}/will", b"gone"), message.topic
    time.sleep(0.1)
    assert watcher.messages.empty(), watcher.messages.get().topic
    for client in (watcher, late):
        client.client.disconnect()
        client.client.loop_stop()


if __name__ == "__main__":
    main()

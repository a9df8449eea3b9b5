"""The walk: flash, first start, a push, a reaction, pins, memory, the plug pulled in the middle of load, a second start."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

from door import Door
from machine import Machine, arm64, free_port
from stage import BOOT_AT, HOUSE, Stage

WORK = os.path.join(HOUSE, "target/image/qemu-virt")
GATEWAY = "gw-boot"
# The budgets of the daemon's proportional memory, in MiB, by handlers.
PSS_MAX = {0: 6, 10: 8, 100: 16}
# Messages under way when the plug is pulled.
LOAD_S, WINDOW = 20, 50


class Walk(Stage):
    def __init__(self, args):
        super().__init__(args, "walk")
        self.upstream = free_port()

    # The card.

    def flash(self):
        self.make_keys()
        open(self.path("gateway.toml"), "w").write(f"""
[gateway]
id = "{GATEWAY}"
data_dir = "/var/lib/tidegate/data"
board = "qemu-virt"
[trust]
file = "trust"
[local]
listen = "0.0.0.0:1883"
[uplink]
broker = "mqtt://10.0.2.2:{self.upstream}"
insecure = true
client_id = "{GATEWAY}"
[[stream]]
name = "raw"
topic = "{{gateway}}/raw"
priority = 3
ttl_s = 0
when_full = "drop-oldest"
format = "raw"
[[forward]]
from = "load/#"
stream = "raw"
""")
        self.run("flash", "qemu-virt", "--out", self.path("card.img"), "--binaries", self.binaries, "--id", GATEWAY,
                 "--trust", self.path("trust"), "--gateway-toml", self.path("gateway.toml"),
                 "--ssh-key", self.path("keys/ssh.pub"), "--console-shell")
        self.say("the card is flashed")

    def start(self, number):
        # The first time with a clock that nobody has set.
        clock = "1999-01-01" if number == 1 else None
        return Machine(arm64(WORK), self.path("card.img"), self.path("keys/ssh"), self.path(f"console-{number}.log"), self.path("monitor"), clock)

    # The first start.

    def first(self):
        machine = self.start(1)
        door = Door(machine.mqtt)
        door.connect(["#"], machine.check_alive)
        self.say(f"the front door answers {machine.seconds():.1f} s after QEMU's start")
        told = door.wait(lambda t, _: t == f"gateways/{GATEWAY}/provision")
        report = json.loads(told[1]) if told else {}
        self.check(report.get("provision") == "provisioned", f"provisioning is reported at the front door: {report}")
        left = machine.sh("busybox mount -t vfat $(busybox findfs LABEL=TIDEGATE) /boot/firmware; ls /boot/firmware; umount /boot/firmware")
        self.check("tidegate" not in left, "the boot partition has no secrets left")
        pid = machine.sh("pidof tidegated").split()[0]
        self.memory(machine, 0, machine.pss_kib(pid))
        self.system(machine)
        self.push(machine, GATEWAY, "qemu-virt", "overheat")
        answer = door.ask("devices/7/telemetry", '{"temp": 90, "seq": 1}', "devices/7/cmd")
        self.check(answer is not None, f"a pushed handler reacts: {answer and answer[1].decode()}")
        self.handlers(machine)
        self.pins(machine, door)
        self.parts(machine)
        return machine, door

    def system(self, machine):
        mounts = machine.sh("mount")
        self.check(re.search(r" on / type ext4 \(ro", mounts) is not None, "the root is read-only")
        self.check(" on /var/lib/tidegate type ext4 (rw" in mounts, "the data partition is there")
        self.check(machine.sh("cat /proc/swaps").count("\n") == 1, "no swap")
        self.check(not machine.sh("ls /var/log/journal 2>/dev/null").strip(), "the journal is in memory")
        watchdog = machine.sh("cat /sys/class/watchdog/watchdog0/state /sys/class/watchdog/watchdog0/timeout").split()
        self.check(watchdog[:1] == ["active"], f"the hardware watchdog counts: {watchdog}")
        self.check(machine.sh("cat /proc/sys/kernel/hostname").strip() == GATEWAY, "the name is the id")
        failed = machine.sh("systemctl --failed --no-legend --plain").strip()
        self.check(not failed, f"no unit has failed {failed}")
        clock, floor = (int(s) for s in machine.sh("date +%s; stat -c %Y /usr/lib/clock-epoch").split())
        self.check(clock >= floor, f"a clock that said 1999 says {time.strftime('%F', time.gmtime(clock))}, no earlier than the image")

    def memory(self, _machine, count, kib):
        self.check(kib is not None and kib <= PSS_MAX[count] * 1024,
                   f"{count} handlers: the daemon has {(kib or 0) / 1024:.1f} MiB (PSS), at most {PSS_MAX[count]}")

    def handlers(self, machine):
        """A second daemon in the guest, with its data in memory and 10 and 100 handlers from folders."""
        for count in (10, 100):
            root = self.path(f"many-{count}")
            text = '[gateway]\nid = "many"\ndata_dir = "/tmp/many/data"\nboard = "qemu-virt"\n[local]\nlisten = "127.0.0.1:1999"\n'
            for at in range(count):
                folder = os.path.join(root, f"h{at}")
                os.makedirs(folder)
                shutil.copy(self.path("overheat", "overheat.wasm"), folder)
                manifest = open(os.path.join(HOUSE, "sdk/examples/overheat/handler.toml")).read()
                manifest = manifest.replace('name = "overheat"', f'name = "h{at}"').replace("devices/+/", f"devices{at}/+/")
                open(os.path.join(folder, "handler.toml"), "w").write(manifest)
                text += f'[[handler]]\npath = "h{at}"\n'
            open(os.path.join(root, "gateway.toml"), "w").write(text)
            tar = subprocess.run(["tar", "-C", root, "-cf", "-", "."], capture_output=True, check=True).stdout
            machine.sh("rm -rf /tmp/many; mkdir -p /tmp/many; tar -C /tmp/many -xf -", stdin=tar)
            pid = machine.sh("cd /tmp; tidegated --config /tmp/many/gateway.toml >/tmp/many.log 2>&1 & echo $!").strip()
            end = time.monotonic() + 120
            while time.monotonic() < end and ":07CF " not in machine.sh("cat /proc/net/tcp"):
                time.sleep(2)
            self.memory(machine, count, machine.pss_kib(pid))
            machine.sh(f"kill {pid}; sleep 3; rm -rf /tmp/many")

    def pins(self, machine, door):
        """The pump handler drives relay1, line 0 of the PL061; the kernel's own table says what the line does."""
        self.push(machine, GATEWAY, "qemu-virt", "pump")
        line = lambda: next((l for l in machine.sh("cat /sys/kernel/debug/gpio").splitlines() if "relay1" in l or "gpio-512" in l), "")
        for level, wanted in ((95, " hi"), (5, " lo")):
            door.ask("tank/level", json.dumps({"level": level}), "tank/pump", 30)
            found = line()
            self.check("out" in found and wanted in found, f"tank/level {level}: relay1 is{wanted}: {found.strip()!r}")
        # The button stops a pump that runs, and that is said.
        door.ask("tank/level", json.dumps({"level": 95}), "tank/pump", 30)
        with door.lock:
            door.seen.clear()
        machine.press("system_powerdown")
        self.check(door.wait(lambda t, _: t == "tank/pump", 30) is not None, "a pressed button wakes the handler")

    def parts(self, machine):
        for text in (machine.sh("systemd-analyze time"), machine.sh("systemd-analyze blame --no-pager | head -12")):
            for line in text.strip().splitlines():
                self.say("      " + line.strip())

    # A full data partition.

    def full(self, machine, door):
        """Nothing more is acked, and handlers go on; with room again, what waited is acked."""
        data = "/var/lib/tidegate"
        machine.sh(f"fallocate -l $(($(busybox df -Pk {data} | busybox awk 'END {{ print $4 }}') - 1024))KiB {data}/fill; "
                   f"busybox dd if=/dev/zero of={data}/fill-2 bs=4k 2>/dev/null; sync")
        load = Load(door, "x" * 8000)
        is_full = load.until_silent(5, 120)
        self.check(is_full and load.unacked(), f"the data partition is full: {load.number} sent, {len(load.unacked())} wait for their ack")
        # At QoS 0: nothing that has to be durable.
        with door.lock:
            door.seen.clear()
        door.client.publish("devices/7/telemetry", '{"temp": 90, "seq": 7}', qos=0)
        self.check(door.wait(lambda t, _: t == "devices/7/cmd", 10) is not None, "a handler reacts meanwhile")
        machine.sh(f"rm {data}/fill {data}/fill-2")
        end = time.monotonic() + 60
        while load.unacked() and time.monotonic() < end:
            time.sleep(0.5)
        self.check(not load.unacked(), "with room again, all of them are acked")
        return load

    # The plug.

    def load_and_cut(self, machine, door, load):
        load.filling = ""
        end = time.monotonic() + LOAD_S
        while time.monotonic() < end:
            load.step()
        machine.cut()
        door.close()
        acked = load.acked()
        self.check(0 < len(acked) < load.number, f"the plug is pulled: {load.number} sent, {len(acked)} acked, the rest under way")
        return acked

    def second(self, acked):
        broker = subprocess.Popen(["mosquitto", "-p", str(self.upstream)], stderr=subprocess.DEVNULL)
        records = self.path("records.jsonl")
        time.sleep(1)
        receiver = subprocess.Popen([self.tool, "receive", "--broker", f"mqtt://127.0.0.1:{self.upstream}", "--to", records],
                                    stdout=subprocess.DEVNULL, stderr=open(self.path("receive.log"), "w"))
        machine = self.start(2)
        try:
            door = Door(machine.mqtt, "boot-test-2")
            door.connect(["devices/7/cmd"], machine.check_alive)
            answer = door.ask("devices/7/telemetry", '{"temp": 90, "seq": 2}', "devices/7/cmd")
            self.check(answer is not None, f"first reaction of the pushed handler {machine.seconds():.1f} s after QEMU's start")
            end, missing = time.monotonic() + 180, acked
            while missing and time.monotonic() < end:
                time.sleep(2)
                text = open(records).read() if os.path.exists(records) else ""
                missing = acked - seen(text)
            self.check(not missing, f"{len(acked)} acked, {len(missing)} of them not upstream {sorted(missing)[:5]}")
            numbers = occurrences(open(records).read())
            self.check(all(n == 1 for n in numbers.values()), "none is upstream twice")
            self.parts(machine)
            door.close()
        finally:
            machine.cut()
            receiver.terminate()
            broker.terminate()

    # A provisioning file that somebody has written by hand.

    def mistake(self):
        """The board starts all the same, and says what is wrong."""
        card = self.path("wrong.img")
        self.run("flash", "qemu-virt", "--out", card, "--binaries", self.binaries)
        put = ["mcopy", "-i", f"{card}@@{BOOT_AT}", "-", "::tidegate-provision.toml"]
        subprocess.run(put, input=b'id = "gw boot"\nlisten = "0.0.0.0:1883"\n', check=True)
        machine = Machine(arm64(WORK), card, self.path("keys/ssh"), self.path("console-3.log"), self.path("monitor"))
        try:
            end = time.monotonic() + 240
            while time.monotonic() < end and "tidegate-provision.toml:1" not in machine.console():
                machine.check_alive()
                time.sleep(1)
            self.check("tidegate-provision.toml:1" in machine.console(), "a mistake in provisioning is on the console, with its line")
            door = Door(machine.mqtt)
            door.connect(["#"], machine.check_alive)
            told = door.wait(lambda t, _: t == "gateways/gw-unnamed/provision")
            report = json.loads(told[1]) if told else {}
            self.check(report.get("provision") == "wrong" and report.get("problems"), f"and at the front door: {report}")
            door.close()
        finally:
            machine.cut()

    def walk(self):
        self.flash()
        machine, door = self.first()
        try:
            acked = self.load_and_cut(machine, door, self.full(machine, door))
        finally:
            machine.cut()
        self.second(acked)
        self.mistake()
        return self.end()


class Load:
    """Numbered messages of QoS 1 to a topic that goes upstream, at most WINDOW of them without their ack."""

    def __init__(self, door, filling):
        self.door, self.filling = door, filling
        self.sent, self.waiting, self.number = {}, [], 0

    def step(self):
        if len(self.unacked()) < WINDOW:
            mid = self.door.publish("load/boot", f"n{self.number}.{self.filling}")
            self.sent[mid] = self.number
            self.waiting.append(mid)
            self.number += 1
        else:
            time.sleep(0.005)

    def until_silent(self, silence_s, limit_s):
        """Sends until no ack has come for so long."""
        last, count, end = time.monotonic(), 0, time.monotonic() + limit_s
        while time.monotonic() < end:
            self.step()
            acked = self.number - len(self.unacked())
            if acked > count:
                last, count = time.monotonic(), acked
            if time.monotonic() - last > silence_s:
                return True
        return False

    def unacked(self):
        with self.door.lock:
            self.waiting = [mid for mid in self.waiting if mid not in self.door.acked]
        return self.waiting

    def acked(self):
        with self.door.lock:
            return {n for mid, n in self.sent.items() if mid in self.door.acked}


def payloads(text):
    """The load's numbers in the receiver's lines, wherever it writes the payload."""
    for line in text.splitlines():
        yield from (int(n) for n in re.findall(r'"n(\d+)\.', line))


def seen(text):
    return set(payloads(text))


def occurrences(text):
    counts = {}
    for number in payloads(text):
        counts[number] = counts.get(number, 0) + 1
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--tool", "--binaries", "--folder"):
        parser.add_argument(name, required=True)
    sys.exit(Walk(parser.parse_args()).walk())

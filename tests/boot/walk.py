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
from machine import Machine, free_port

HOUSE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(HOUSE, "target/image/qemu-virt")
GATEWAY = "gw-boot"
# The budgets of the daemon's proportional memory, in MiB, by handlers.
PSS_MAX = {0: 6, 10: 8, 100: 16}
# Messages under way when the plug is pulled.
LOAD_S, WINDOW = 20, 50


class Walk:
    def __init__(self, args):
        self.tool, self.binaries, self.folder = args.tool, args.binaries, os.path.join(args.folder, "walk")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.wrong, self.began = [], time.monotonic()
        self.upstream = free_port()
        os.environ["XDG_STATE_HOME"] = self.path("state")

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def say(self, text):
        print(f"boot: {time.monotonic() - self.began:5.0f} s  {text}", flush=True)

    def check(self, is_right, text):
        self.say(("ok    " if is_right else "WRONG ") + text)
        if not is_right:
            self.wrong.append(text)

    def run(self, *words):
        done = subprocess.run([self.tool, *words], capture_output=True, cwd=HOUSE)
        if done.returncode != 0:
            sys.exit(f"boot: tidegate {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout

    # The card.

    def flash(self):
        os.makedirs(self.path("keys"))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path("keys/ssh")], check=True)
        self.run("keygen", self.path("keys/ops"), "--no-passphrase")
        trust = self.run("trust", "init", "--root", self.path("keys/ops.pub"), "--key", self.path("keys/ops.key"), "--fleet", "boot")
        open(self.path("trust"), "wb").write(trust)
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
        return Machine(self.path("card.img"), WORK, self.path("keys/ssh"), self.path(f"console-{number}.log"), self.path("monitor"))

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
        self.push(machine, door, "overheat")
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

    def push(self, machine, door, name):
        folder = self.path(name)
        shutil.copytree(os.path.join(HOUSE, "sdk/examples", name), folder)
        self.run("build", os.path.join("sdk/examples", name), "--board", "qemu-virt")
        module = os.path.join(HOUSE, "sdk/examples", name, f"{name}.wasm")
        shutil.copy(module, folder)
        with open(os.path.join(folder, "handler.toml"), "a") as manifest:
            manifest.write("\n[probation]\nevents = 3\nuptime_s = 5\n")
        done = self.run("push", folder, "--to", GATEWAY, "--key", self.path("keys/ops.key"), "--trust", self.path("trust"),
                        "--broker", f"mqtt://127.0.0.1:{machine.mqtt}", "--board", "qemu-virt", "--yes")
        self.say(f"{name} is pushed: {' '.join(done.decode().split()[-8:])}")

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
        self.push(machine, door, "pump")
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

    # The plug.

    def load_and_cut(self, machine, door):
        sent, number, end = {}, 0, time.monotonic() + LOAD_S
        while time.monotonic() < end:
            with door.lock:
                waiting = sum(1 for mid in sent if mid not in door.acked)
            if waiting < WINDOW:
                sent[door.publish("load/boot", f"n{number}")] = number
                number += 1
            else:
                time.sleep(0.005)
        machine.cut()
        door.close()
        with door.lock:
            acked = {n for mid, n in sent.items() if mid in door.acked}
        self.check(0 < len(acked) < number, f"the plug is pulled: {number} sent, {len(acked)} acked, the rest under way")
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

    def walk(self):
        self.flash()
        machine, door = self.first()
        try:
            acked = self.load_and_cut(machine, door)
        finally:
            machine.cut()
        self.second(acked)
        self.say(f"{len(self.wrong)} wrong")
        for text in self.wrong:
            self.say("  " + text)
        return 1 if self.wrong else 0


def payloads(text):
    """The load's numbers in the receiver's lines, wherever it writes the payload."""
    for line in text.splitlines():
        yield from (int(n) for n in re.findall(r'"n(\d+)"', line))


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

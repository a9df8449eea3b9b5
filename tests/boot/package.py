"""The package on a plain Debian under its own systemd: install, the hardened unit with watchdog and pins, a wrong
configuration, install again, remove, purge; and the tarball's script. The board is QEMU's `virt`, whose pins the kernel shows."""

import argparse
import json
import os
import subprocess
import sys
import time

from door import Door
from machine import Machine, debian
from stage import HOUSE, Stage

BOARD, GATEWAY = "qemu-virt", "gw-01"
CONFIG = "/etc/tidegate/gateway.toml"
# `WatchdogSec=30`, and time to start on an emulated core.
WATCHDOG_S = 30 + 60


class Package(Stage):
    def __init__(self, args):
        super().__init__(args, "package")
        self.deb = args.deb
        self.disk = os.path.join(args.folder, "debian")

    def start(self):
        self.make_keys()
        subprocess.run([os.path.join(HOUSE, "tests/boot/debian"), self.disk, self.path("keys/ssh.pub")], check=True)
        self.say("a Debian without Tidegate is there")
        return Machine(debian(self.disk), os.path.join(self.disk, "disk.img"), self.path("keys/ssh"), self.path("console.log"), self.path("monitor"))

    def dpkg(self, machine, words):
        told = machine.sh(f"DEBIAN_FRONTEND=noninteractive dpkg {words} </dev/null 2>&1; echo status=$?")
        self.check(told.strip().endswith("status=0"), f"dpkg {words}")
        if not told.strip().endswith("status=0"):
            self.say(told)

    def show(self, machine, *names):
        told = machine.sh("systemctl show tidegated " + " ".join(f"-p {name}" for name in names))
        return dict(line.split("=", 1) for line in told.split())

    def wait(self, machine, name, wanted, limit_s):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if wanted(self.show(machine, name).get(name)):
                return True
            time.sleep(1)
        return False

    def is_active(self, machine, limit_s=120):
        return self.wait(machine, "ActiveState", lambda state: state == "active", limit_s)

    # As it is installed.

    def installed(self, machine):
        with open(self.deb, "rb") as file:
            machine.sh("cat >./tidegate.deb", stdin=file.read())
        self.dpkg(machine, "-i ./tidegate.deb")
        self.check(self.is_active(machine), "the unit is active: the daemon has said READY=1")
        unit = self.show(machine, "Type", "User", "WatchdogUSec", "NRestarts", "UnitFileState")
        self.check(unit == {"Type": "notify", "User": "tidegate", "WatchdogUSec": "30s", "NRestarts": "0", "UnitFileState": "enabled"}, f"{unit}")
        owner = machine.sh("stat -c '%U %a' /var/lib/tidegate").strip()
        self.check(owner == "tidegate 700", f"/var/lib/tidegate belongs to {owner}")
        group = machine.sh("stat -c '%G' /dev/gpiochip0").strip()
        self.check(group == "gpio", f"/dev/gpiochip0 is the group {group}'s")
        self.check("tidegated" in machine.sh("man -w tidegated 2>/dev/null || ls /usr/share/man/man8/"), "there is a page tidegated(8)")

    def watchdog(self, machine):
        pid = self.show(machine, "MainPID")["MainPID"]
        machine.sh(f"kill -STOP {pid}")
        stopped = time.monotonic()
        is_back = self.wait(machine, "NRestarts", lambda count: count == "1", WATCHDOG_S) and self.is_active(machine)
        self.check(is_back, f"a daemon that hangs is started again, {time.monotonic() - stopped:.0f} s later")

    # As somebody uses it.

    def configured(self, machine):
        machine.sh(f"sed -i 's/^listen = .*/listen = \"0.0.0.0:1883\"/; s/^id = .*/id = 7/' {CONFIG}; systemctl restart tidegated")
        told = machine.sh("systemctl is-active tidegated; systemctl show tidegated -p ExecMainStatus -p NRestarts; journalctl -u tidegated -n 20 --no-pager")
        self.check("ExecMainStatus=78" in told and f"{CONFIG}:" in told, "a mistake in gateway.toml: file and line in the journal, and no second start")
        with open(self.path("trust"), "rb") as file:
            machine.sh("cat >/etc/tidegate/trust; chgrp tidegate /etc/tidegate/trust; chmod 640 /etc/tidegate/trust", stdin=file.read())
        machine.sh(f"sed -i 's/^id = .*/id = \"{GATEWAY}\"/' {CONFIG}; printf '[trust]\\nfile = \"/etc/tidegate/trust\"\\n' >>{CONFIG}; systemctl restart tidegated")
        self.check(self.is_active(machine), "with the mistake mended it is active")
        door = Door(machine.mqtt)
        door.connect(["#"], machine.check_alive)
        self.push(machine, GATEWAY, BOARD, "pump")
        for level, wanted in ((95, " hi"), (5, " lo")):
            door.ask("tank/level", json.dumps({"level": level}), "tank/pump", 30)
            line = next((l for l in machine.sh("cat /sys/kernel/debug/gpio").splitlines() if "gpio-512" in l or "relay1" in l), "")
            self.check("out" in line and wanted in line, f"tank/level {level}: relay1 is{wanted}: {line.strip()!r}")
        door.close()
        told = machine.sh(f"tidegate status --broker mqtt://127.0.0.1 --json")
        self.check('"pump"' in told, f"`tidegate status` on the board knows the handler: {told.strip()[:120]}")

    # As it goes.

    def removed(self, machine):
        key = machine.sh("sha256sum /var/lib/tidegate/gateway.pub")
        self.dpkg(machine, "-i ./tidegate.deb")
        self.check(self.is_active(machine), "installed over itself, it is active")
        self.check("0.0.0.0" in machine.sh(f"cat {CONFIG}"), f"{CONFIG} is as it was changed")
        self.dpkg(machine, "-r tidegate")
        self.check(not machine.sh("pidof tidegated").strip(), "removed: no daemon runs")
        self.check(machine.sh("sha256sum /var/lib/tidegate/gateway.pub") == key and machine.sh(f"ls {CONFIG}").strip() == CONFIG, "state and configuration stay")
        self.dpkg(machine, "-i ./tidegate.deb")
        self.check(self.is_active(machine), "installed again, it is active")
        told = machine.sh("tidegate status --broker mqtt://127.0.0.1 --json")
        self.check(machine.sh("sha256sum /var/lib/tidegate/gateway.pub") == key and '"pump"' in told, "it is the same gateway, with its handler")
        self.dpkg(machine, "-P tidegate")
        left = machine.sh(f"ls -d /var/lib/tidegate {CONFIG} /usr/bin/tidegate* 2>/dev/null; getent passwd tidegate; systemctl --failed --no-legend --plain; dpkg -l tidegate 2>/dev/null | grep ^.i").strip()
        self.check(not left, f"purged: nothing of it is left {left}")
        self.check(machine.sh("ls /etc/tidegate").split() == ["trust"], "but the trust file, which is not the package's")

    # The other way: the tarball's script, with the files of the package.

    def by_script(self, machine):
        with open(os.path.join(HOUSE, "cross/package/install.sh"), "rb") as script:
            machine.sh("dpkg -x ./tidegate.deb tarball; cat >tarball/install.sh; chmod +x tarball/install.sh", stdin=script.read())
        machine.sh("delgroup --quiet gpio; chown root:root /dev/gpiochip0; rm -rf /etc/tidegate")
        for _ in range(2):
            told = machine.sh("./tarball/install.sh 2>&1; echo status=$?").strip()
            self.check(told.endswith("status=0") and self.is_active(machine), "install.sh: the unit is active")
        group = machine.sh("stat -c '%G' /dev/gpiochip0").strip()
        self.check(group == "gpio", f"/dev/gpiochip0 is the group {group}'s")
        told = machine.sh("tarball/install.sh --remove 2>&1; echo status=$?").strip()
        left = machine.sh("pidof tidegated; ls /usr/bin/tidegate* /usr/lib/systemd/system/tidegated.service 2>/dev/null").strip()
        kept = machine.sh(f"ls -d /var/lib/tidegate {CONFIG}").split()
        self.check(told.endswith("status=0") and not left and len(kept) == 2, f"install.sh --remove: programs and unit are gone {left}, state and configuration stay")

    def walk(self):
        machine = self.start()
        try:
            self.installed(machine)
            self.watchdog(machine)
            self.configured(machine)
            self.removed(machine)
            self.by_script(machine)
        finally:
            machine.cut()
        return self.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--tool", "--binaries", "--folder", "--deb"):
        parser.add_argument(name, required=True)
    sys.exit(Package(parser.parse_args()).walk())

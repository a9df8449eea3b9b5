"""Starts the image of beaglebone-black on a 32-bit machine of QEMU's. Nothing emulates the board itself, so its ROM, MLO and
u-boot.img are not seen: QEMU's own U-Boot reads the card's extlinux.conf, as u-boot.img would. From there on it is what a
board would run: kernel, initrd, system and the daemon for ARMv7. The device tree is the machine's, not the board's."""

import argparse
import json
import os
import re
import subprocess
import sys

from door import Door
from machine import Machine, armv7
from stage import BOOT_AT, Stage

BOARD, GATEWAY = "beaglebone-black", "gw-bone"
# Of Debian's u-boot-qemu.
LOADER = "/usr/lib/u-boot/qemu_arm/u-boot.bin"
PSS_MIB_MAX = 6


class Bone(Stage):
    def flash(self):
        self.make_keys()
        self.run("flash", BOARD, "--out", self.path("card.img"), "--binaries", self.binaries, "--id", GATEWAY,
                 "--trust", self.path("trust"), "--ssh-key", self.path("keys/ssh.pub"))
        boot = f"{self.path('card.img')}@@{BOOT_AT}"
        files = subprocess.run(["mdir", "-b", "-i", boot, "::"], capture_output=True, check=True, text=True).stdout
        self.check({"::/MLO", "::/u-boot.img"} <= set(files.split()), "the ROM finds MLO on the card, and MLO u-boot.img")
        # The machine's own console, and no line `fdt`: its tree instead of the board's.
        conf = subprocess.run(["mtype", "-i", boot, "::extlinux/extlinux.conf"], capture_output=True, check=True, text=True).stdout
        mended, trees = re.subn(r"^ *fdt .*\n", "", conf, flags=re.M)
        self.check(trees == 1 and "console=ttyO0,115200" in conf, "extlinux.conf names the board's device tree and console")
        mended = mended.replace("ttyO0,115200", "ttyAMA0")
        subprocess.run(["mcopy", "-o", "-i", boot, "-", "::extlinux/extlinux.conf"], input=mended.encode(), check=True)

    def walk(self):
        self.flash()
        machine = Machine(armv7(LOADER), self.path("card.img"), self.path("keys/ssh"), self.path("console.log"), self.path("monitor"))
        try:
            door = Door(machine.mqtt)
            door.connect(["#"], machine.check_alive)
            self.say(f"the front door answers {machine.seconds():.1f} s after QEMU's start")
            told = door.wait(lambda t, _: t == f"gateways/{GATEWAY}/provision")
            self.check(told is not None and json.loads(told[1]).get("provision") == "provisioned", "provisioning is reported at the front door")
            self.check("armv7" in machine.sh("uname -m"), f"it is {machine.sh('uname -srm').strip()}")
            kib = machine.pss_kib(machine.sh("pidof tidegated").split()[0])
            self.check(kib <= PSS_MIB_MAX * 1024, f"the daemon has {kib / 1024:.1f} MiB (PSS), at most {PSS_MIB_MAX}")
            failed = machine.sh("systemctl --failed --no-legend --plain").strip()
            self.check(not failed, f"no unit has failed {failed}")
            self.push(machine, GATEWAY, BOARD, "overheat")
            answer = door.ask("devices/7/telemetry", '{"temp": 90, "seq": 1}', "devices/7/cmd")
            self.check(answer is not None, f"a pushed handler reacts: {answer and answer[1].decode()}")
            self.say("      " + machine.sh("systemd-analyze time").strip())
            door.close()
        finally:
            machine.cut()
        return self.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--tool", "--binaries", "--folder"):
        parser.add_argument(name, required=True)
    args = parser.parse_args()
    if not os.path.exists(LOADER):
        sys.exit(f"boot: there is no {LOADER} (on Debian: apt-get install u-boot-qemu)")
    sys.exit(Bone(args, "armv7").walk())

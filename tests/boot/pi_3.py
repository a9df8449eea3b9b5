"""Starts the image of pi-3 under QEMU's raspi3b, as far as that machine goes. It has no first boot stage: kernel, device tree
and initrd are given by hand, as config.txt names them, so what the firmware does is not seen. Network is a USB adapter."""

import argparse
import os
import subprocess
import sys
import time

HOUSE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = os.path.join(HOUSE, "target/image/pi-3/boot.files")
LIMIT_S = 600
# In the order in which they come; each says that a part of the image works on that machine.
SIGNS = ["mmcblk0: p1 p2 p3 p4", "systemd[1]: ", "tidegate: this is gw-pi3"]


def main():
    parser = argparse.ArgumentParser()
    for name in ("--tool", "--binaries", "--folder"):
        parser.add_argument(name, required=True)
    args = parser.parse_args()
    card, log = os.path.join(args.folder, "pi-3.img"), os.path.join(args.folder, "pi-3.log")
    subprocess.run([args.tool, "flash", "pi-3", "--out", card, "--binaries", args.binaries, "--id", "gw-pi3"], check=True, cwd=HOUSE)
    # The machine wants a card whose size is a power of two.
    os.truncate(card, 1 << (os.path.getsize(card) - 1).bit_length())
    words = open(os.path.join(FILES, "cmdline.txt")).read().strip().replace("ttyS1,115200", "ttyAMA0,115200").replace("quiet loglevel=4", "loglevel=7")
    command = [
        "qemu-system-aarch64", "-M", "raspi3b", "-display", "none", "-no-reboot", "-serial", f"file:{log}", "-monitor", "none",
        "-kernel", os.path.join(FILES, "kernel8.img"), "-initrd", os.path.join(FILES, "initrd.img"),
        "-dtb", os.path.join(FILES, "bcm2837-rpi-3-b.dtb"), "-append", words,
        "-drive", f"file={card},format=raw,if=sd", "-device", "usb-net,netdev=n", "-netdev", "user,id=n",
    ]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    began, seen = time.monotonic(), []
    while time.monotonic() - began < LIMIT_S and len(seen) < len(SIGNS) and machine.poll() is None:
        time.sleep(2)
        text = open(log, errors="replace").read() if os.path.exists(log) else ""
        while len(seen) < len(SIGNS) and SIGNS[len(seen)] in text:
            print(f"boot: {time.monotonic() - began:5.0f} s  {SIGNS[len(seen)]}", flush=True)
            seen.append(SIGNS[len(seen)])
    machine.kill()
    machine.wait()
    if len(seen) < len(SIGNS):
        print(f"boot: not seen within {LIMIT_S} s: {SIGNS[len(seen)]!r}; the console is in {log}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""QEMU's `virt` machine with a disk in it, and the ways into it: ssh, the serial console, the front door."""

import atexit
import os
import re
import socket
import subprocess
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def arm64(work):
    """A 64-bit machine; `work` is target/image/qemu-virt: kernel, initrd, command line."""
    with open(os.path.join(work, "cmdline")) as file:
        words = file.read().strip()
    return [
        "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "1024", "-device", "i6300esb",
        "-kernel", os.path.join(work, "kernel"), "-initrd", os.path.join(work, "initrd"), "-append", words,
    ]


def debian(folder):
    """A 64-bit machine whose disk is one file system; tests/boot/debian has made the folder."""
    return [
        "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "1024",
        "-kernel", os.path.join(folder, "kernel"), "-initrd", os.path.join(folder, "initrd"),
        # button1 is the daemon's, not the kernel's.
        "-append", "root=/dev/vda rw console=ttyAMA0 quiet module_blacklist=gpio_keys",
    ]


def armv7(loader):
    """A 32-bit machine with one core that starts U-Boot, which finds the rest on the disk."""
    # highmem: without LPAE, nothing above 4 GiB can be seen, and PCI would lie there.
    return ["qemu-system-arm", "-M", "virt,highmem=off", "-cpu", "cortex-a15", "-m", "512", "-bios", loader]


class Machine:
    """One start. `words` begin QEMU's command line; the disk is a raw image; `clock` is what its clock says first."""

    def __init__(self, words, image, key, log, monitor, clock=None):
        self.mqtt, self.ssh_port = free_port(), free_port()
        self.key, self.log, self.monitor = key, log, monitor
        open(log, "w").close()
        if os.path.exists(monitor):
            os.remove(monitor)
        command = [
            *words, "-display", "none", "-no-reboot", *(["-rtc", f"base={clock}"] if clock else []),
            # directsync: what the guest has written and QEMU has answered is in the host's file, nothing else is.
            "-drive", f"file={image},format=raw,if=virtio,cache=directsync",
            "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self.mqtt}-:1883,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22",
            "-device", "virtio-net-pci,netdev=n,romfile=",
            "-serial", f"file:{log}", "-monitor", f"unix:{monitor},server=on,wait=off",
        ]
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # Of a walk that stops early, nothing stays behind.
        atexit.register(self.process.kill)

    def seconds(self):
        return time.monotonic() - self.began

    def check_alive(self):
        if self.process.poll() is not None:
            raise SystemExit(f"boot: QEMU has ended: {self.process.stderr.read().decode()}; see {self.log}")

    def console(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def sh(self, command, stdin=None, tries=40, limit=240):
        """Runs a command in the guest; the first one waits for its ssh server."""
        words = [
            "ssh", "-q", "-i", self.key, "-p", str(self.ssh_port), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30", "-o", "BatchMode=yes", "root@127.0.0.1", command,
        ]
        for _ in range(tries):
            self.check_alive()
            done = subprocess.run(words, input=stdin, capture_output=True, timeout=limit)
            if done.returncode != 255:
                return done.stdout.decode(errors="replace")
            time.sleep(3)
        raise SystemExit(f"boot: no ssh into the guest; its console is in {self.log}")

    def pss_kib(self, pid):
        found = re.search(r"^Pss:\s+(\d+) kB", self.sh(f"cat /proc/{pid}/smaps_rollup"), re.M)
        return int(found.group(1)) if found else None

    def press(self, command):
        """A command for QEMU's monitor."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.monitor)
            s.sendall(command.encode() + b"\n")
            time.sleep(0.5)

    def cut(self):
        """The plug: QEMU is killed where it stands."""
        self.process.kill()
        self.process.wait()

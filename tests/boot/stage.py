"""What the walks share: a folder of their own, this machine's tool, keys, what was checked and what of it was wrong."""

import os
import shutil
import subprocess
import sys
import time

HOUSE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Where boards/image/join puts the boot partition.
BOOT_AT = 4 << 20


class Stage:
    """`name` is the folder below args.folder; it is made anew."""

    def __init__(self, args, name):
        self.tool, self.binaries, self.folder = args.tool, args.binaries, os.path.join(args.folder, name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.wrong, self.began = [], time.monotonic()
        # The tool pins the gateway's key at the first push; not in the state of the person who runs this.
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

    def make_keys(self):
        """keys/ssh to log in with, keys/ops.key to sign with, and the trust file that goes with it."""
        os.makedirs(self.path("keys"))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path("keys/ssh")], check=True)
        self.run("keygen", self.path("keys/ops"), "--no-passphrase")
        trust = self.run("trust", "init", "--root", self.path("keys/ops.pub"), "--key", self.path("keys/ops.key"), "--fleet", "boot")
        with open(self.path("trust"), "wb") as file:
            file.write(trust)

    def push(self, machine, gateway, board, name):
        """Builds an example and pushes it over the machine's front door."""
        folder = self.path(name)
        example = os.path.join(HOUSE, "sdk/examples", name)
        shutil.copytree(example, folder)
        self.run("build", example, "--board", board)
        shutil.copy(os.path.join(example, f"{name}.wasm"), folder)
        with open(os.path.join(folder, "handler.toml"), "a") as manifest:
            manifest.write("\n[probation]\nevents = 3\nuptime_s = 5\n")
        done = self.run("push", folder, "--to", gateway, "--key", self.path("keys/ops.key"), "--trust", self.path("trust"),
                        "--broker", f"mqtt://127.0.0.1:{machine.mqtt}", "--board", board, "--yes")
        self.say(f"{name} is pushed: {' '.join(done.decode().split()[-8:])}")

    def end(self):
        self.say(f"{len(self.wrong)} wrong")
        for text in self.wrong:
            self.say("  " + text)
        return 1 if self.wrong else 0

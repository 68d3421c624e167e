"""Two hosts on one machine: each has its own network and mounts, a cable joins them, ssh reaches the second.

A host is a thread that Linux has given namespaces of its own: all that it calls or starts is on that host.
Debian's packages iproute2 and openssh-server have what is needed, and only root may.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil

P = ParamSpec("P")
T = TypeVar("T")

NAME = "mini"  # of the second host, as ssh knows it
_ADDRESSES = ("10.77.0.1", "10.77.0.2")
_NEW_MOUNTS, _NEW_NETWORK = 0x00020000, 0x40000000  # CLONE_NEWNS, CLONE_NEWNET of linux/sched.h
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

_SSH = """Host {name}
  HostName {address}
  User {user}
  UserKnownHostsFile {keys}/known_hosts
"""
_SSHD = """ListenAddress {address}
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
SetEnv {environment}
"""


class Host:
    """One host; `with` it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self.do(_leave)

    def do(self, call: Callable[P, T], *words: P.args, **more: P.kwargs) -> T:
        """Do something on this host."""
        return self._thread.submit(call, *words, **more).result()

    def run(self, *words: str, **variables: str) -> None:
        """Run a command on it that succeeds."""
        environment = os.environ | {"PATH": _PATH} | variables
        done = self.do(subprocess.run, words, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stderr}"

    def processes(self) -> list[psutil.Process]:
        """Return what runs on it."""
        own, found = self.do(Path("/proc/thread-self/ns/net").readlink), []
        for process in psutil.process_iter():
            with suppress(OSError):
                if Path(f"/proc/{process.pid}/ns/net").readlink() == own:
                    found.append(process)
        return found

    def end(self) -> None:
        """End what runs on it, and so the host."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._thread.shutdown()


def _leave() -> None:
    """Give the calling thread a network and mounts of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS | _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def why_not() -> str:
    """Return why this machine cannot have two hosts; "" where it can."""
    if sys.platform != "linux":
        return "namespaces are Linux's"
    if missing := [name for name in ("ip", "mount", "ssh", "sshd") if shutil.which(name, path=_PATH) is None]:
        return f"this machine has no {' and no '.join(missing)}"
    try:
        probe = Host()
    except OSError as exc:
        return f"this user may not make namespaces: {exc.strerror}"
    probe.end()
    return ""


class TwoHosts:
    """Two hosts, whose users have folders of their own."""

    def __init__(self, folder: Path) -> None:
        """Join them; the second one does not see the first one's folder."""
        self.homes = (folder / "first", folder / "second")
        self.agent = str(
            folder / "agent"
        )  # SSH_AUTH_SOCK of the first one's user, whose key nothing else has
        for home in self.homes:
            (home / "tmp").mkdir(parents=True)  # TMPDIR
        self.first, self.second = Host(), Host()
        for host in (self.first, self.second):
            host.run("mount", "--make-rprivate", "/")
            host.run("ip", "link", "set", "lo", "up")
        self._lay_cable()
        self._open_ssh(folder)

    def _lay_cable(self) -> None:
        other = str(self.second.do(threading.get_native_id))
        ends = ("type", "veth", "peer", "name", "cable", "netns", other)
        self.first.run("ip", "link", "add", "name", "cable", *ends)
        for host, address in zip((self.first, self.second), _ADDRESSES, strict=True):
            host.run("ip", "address", "add", f"{address}/24", "dev", "cable")
            host.run("ip", "link", "set", "cable", "up")

    def _open_ssh(self, folder: Path) -> None:
        """Have the second host listen, and write what the first one's ssh reads, in its own /etc/ssh."""
        keys, address = folder / "keys", _ADDRESSES[1]
        keys.mkdir(mode=0o700)
        for name in ("host", "user"):
            self.first.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name))
        self.first.run("ssh-agent", "-a", self.agent)
        self.first.run("ssh-add", "-q", str(keys / "user"), SSH_AUTH_SOCK=self.agent)
        (keys / "user").unlink()
        (keys / "known_hosts").write_text(f"{address} {(keys / 'host.pub').read_text()}")
        user, home = psutil.Process().username(), self.homes[1]
        own = folder / "ssh"
        own.mkdir()
        (own / "ssh_config").write_text(_SSH.format(name=NAME, address=address, user=user, keys=keys))
        self.first.run("mount", "--bind", str(own), "/etc/ssh")
        folders = [f"XDG_{name}_HOME={home / name.lower()}" for name in ("CONFIG", "STATE", "DATA")]
        (keys / "sshd_config").write_text(
            _SSHD.format(
                address=address,
                keys=keys,
                environment=" ".join([f"HOME={home}", f"TMPDIR={home / 'tmp'}", *folders]),
            )
        )
        self.second.run("mount", "-t", "tmpfs", "none", str(self.homes[0]))
        self.second.run("mount", "-t", "tmpfs", "none", "/run")
        self.second.do(os.mkdir, "/run/sshd")  # sshd asks for it
        sshd = shutil.which("sshd", path=_PATH)
        assert sshd is not None
        self.second.run(sshd, "-f", str(keys / "sshd_config"), "-E", str(keys / "log"))

    def end(self) -> None:
        """End what runs on them."""
        self.first.end()
        self.second.end()

"""The memory that this machine has for models, and what fits: by the figures that the system compares with.

On Linux the kernel's figures and the limits of the cgroups this process is in (version 2); on macOS
also what Metal recommends to keep in use at once. The macOS parts have not been tried on a Mac yet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_ai.settings.schema import ModelsSettings

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_CARDS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))  # NVIDIA's driver; the same in WSL


# Of what a machine has, models may take this much: the rest is for the system and other programs.
_SHARE_OF_MEMORY = 0.8
_SHARE_OF_CARD = 0.9
_MARGIN_SHARE = 0.02  # of what models may have: for what one step takes for a moment
_MOST_MARGIN = 1_000_000_000


@dataclass(frozen=True)
class Machine:
    """A machine's memory, all of it, whichever program holds it now."""

    total_bytes: int  # its memory, or the limit of the cgroup around this process
    working_set_bytes: int | None = None  # that Metal recommends to keep in use at once; None: no Metal
    card_bytes: int | None = None  # of an NVIDIA card; None: MLX computes on none

    @property
    def most_bytes(self) -> int:
        """Bytes that models can have here; what happens to be free does not count."""
        if self.working_set_bytes is not None:
            return self.working_set_bytes
        if self.card_bytes is not None:
            return int(_SHARE_OF_CARD * self.card_bytes)
        return int(_SHARE_OF_MEMORY * self.total_bytes)


@cache
def this_machine() -> Machine:
    """Read this machine's figures. Imports mlx, but not on Linux without a card."""
    return Machine(total_bytes(), working_set_bytes(), card_total_bytes())


def margin_of(most_bytes: int) -> int:
    """Return the bytes that no load takes, of those that models may have."""
    return int(min(_MARGIN_SHARE * most_bytes, _MOST_MARGIN))


def loadable_bytes(settings: ModelsSettings, machine: Machine | None = None) -> int:
    """Return the bytes that a model's weights and a conversation with it can have.

    Args:
        settings: `[models]`; whether a model that does not fit is refused is not looked at.
        machine: Another one than this, whose figures may import mlx.
    """
    budget = budget_bytes(settings)
    most = (machine or this_machine()).most_bytes if budget is None else budget
    return most - margin_of(most)


def budget_bytes(settings: ModelsSettings) -> int | None:
    """Return what `models.budget` says, in bytes; None: as the machine has them."""
    return None if settings.budget == "auto" else int(settings.budget * 1e9)


def total_bytes() -> int:
    """Bytes that models could have if nothing else ran."""
    import psutil  # 10 ms, for which the gateway's first answer does not wait

    return min([psutil.virtual_memory().total, *cgroup_limits()])


def available_bytes() -> int:
    """Bytes that are available now, without pushing anything else out."""
    import psutil  # 10 ms, for which the gateway's first answer does not wait

    return min([psutil.virtual_memory().available, *cgroup_rooms()])


def working_set_bytes() -> int | None:
    """Bytes that Metal recommends to keep in use at once; None where there is no Metal.

    `sudo sysctl iogpu.wired_limit_mb=N` moves it. Imports mlx.

    Source: https://developer.apple.com/documentation/metal/mtldevice/recommendedmaxworkingsetsize
    """
    if sys.platform != "darwin":
        return None
    import mlx.core as mx

    if not mx.metal.is_available():
        return None
    value = mx.device_info().get("max_recommended_working_set_size")
    return int(value) if value else None


def card_free_bytes() -> int | None:
    """Bytes that an NVIDIA card has free, whoever holds the others; None where MLX computes on none.

    Imports mlx. Measured with mlx 0.32.4: `free_memory` is read anew each time.
    """
    if not any(device.exists() for device in _CARDS):
        return None
    import mlx.core as mx

    if not mx.cuda.is_available() or mx.default_device() == mx.Device(mx.cpu):
        return None
    return int(mx.device_info()["free_memory"])


def card_total_bytes() -> int | None:
    """Bytes that an NVIDIA card has in all; None where MLX computes on none. Imports mlx."""
    import mlx.core as mx

    if (free := card_free_bytes()) is None:
        return None
    return int(mx.device_info().get("total_memory", free))


def cgroup_limits(own: Path = _OWN_CGROUP, root: Path = _CGROUPS) -> list[int]:
    """List the memory limits of this process's cgroup and those around it; none where there are none."""
    limits = (_read_number(group / "memory.max") for group in _cgroups(own, root))
    return [limit for limit in limits if limit is not None]


def cgroup_rooms(own: Path = _OWN_CGROUP, root: Path = _CGROUPS) -> list[int]:
    """List the memory that those limits leave; file cache that can be dropped counts as free.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, memory.max, memory.current, memory.stat.
    """
    rooms = []
    for group in _cgroups(own, root):
        limit, used = _read_number(group / "memory.max"), _read_number(group / "memory.current")
        if limit is not None and used is not None:
            rooms.append(max(0, limit - used + _inactive_file_bytes(group / "memory.stat")))
    return rooms


def _cgroups(own: Path, root: Path) -> Iterator[Path]:
    """Yield this process's cgroup and all around it, the root last."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux
        return
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if path is None:
        return
    group = root / path
    yield from (group, *(parent for parent in group.parents if parent.is_relative_to(root)))


def _read_number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def _inactive_file_bytes(file: Path) -> int:
    try:
        words = (line.split() for line in file.read_text().splitlines())
        return next((int(value) for name, value in words if name == "inactive_file"), 0)
    except (OSError, ValueError):
        return 0

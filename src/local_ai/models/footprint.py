"""What a process of ours takes on macOS, as the system counts it. Not tried on a Mac yet."""

from __future__ import annotations

import ctypes
import os


class _RusageInfoV2(ctypes.Structure):
    """Source: struct rusage_info_v2 in XNU's bsd/sys/resource.h."""

    _fields_ = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "ri_user_time",
                "ri_system_time",
                "ri_pkg_idle_wkups",
                "ri_interrupt_wkups",
                "ri_pageins",
                "ri_wired_size",
                "ri_resident_size",
                "ri_phys_footprint",
                "ri_proc_start_abstime",
                "ri_proc_exit_abstime",
                "ri_child_user_time",
                "ri_child_system_time",
                "ri_child_pkg_idle_wkups",
                "ri_child_interrupt_wkups",
                "ri_child_pageins",
                "ri_child_elapsed_abstime",
                "ri_diskio_bytesread",
                "ri_diskio_byteswritten",
            )
        ),
    )


def physical_footprint() -> int | None:
    """Read what Activity Monitor shows and the system's memory pressure counts; None if it cannot be read."""
    try:
        libproc = ctypes.CDLL("/usr/lib/libproc.dylib", use_errno=True)
        usage = _RusageInfoV2()
        failed = libproc.proc_pid_rusage(os.getpid(), 2, ctypes.byref(usage))
    except (OSError, AttributeError):
        return None
    return None if failed else int(usage.ri_phys_footprint)

"""Where a run is computed: device, threads, precision, random numbers, and a record of all that decides its bits."""

import ctypes
import os
import platform
import shutil
import subprocess
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from attncli import __version__
from attncli.errors import InputError
from attncli.spec.seeds import mix

Made = TypeVar("Made", bound=Callable[..., Any])


def choose_device(name: str) -> torch.device:
    """`auto` is a CUDA device where there is one, else Apple's, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name, False):
        rule = f"--device {name}: torch {torch.__version__} sees no such device here"
        raise InputError(rule, help="use --device auto")
    return torch.device(name)


HELD = 2**30
"""Bytes of the largest tensor that a process keeps the memory of, and half of the free memory that it keeps."""


def use_threads(threads: int | None) -> None:
    """Set the threads of one operation; without a number torch's own choice stays. And set the allocator.

    Numbers too small for the normal form are flushed to zero: they cost a hundred times the time and mean nothing here.
    The mode belongs to a thread and is inherited, so this must run before the first operation starts the others.
    """
    torch.set_flush_denormal(True)
    _keep_memory()
    if threads is not None:
        torch.set_num_threads(threads)


def _keep_memory() -> None:
    """Let glibc keep memory that is freed, unless the user has set how it does.

    It would give tensors above 32 MB back at once, and take zeroed pages anew for those of the next step: a tenth of
    the time of a training step. Other C libraries have no such setting, and are left alone.
    """
    if any(name in os.environ for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if platform.libc_ver()[0] == "glibc" else None
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # as malloc.h numbers them
        mallopt(mmap_threshold, HELD)
        mallopt(trim_threshold, 2 * HELD - 1)


def seed_random(seed: int, *purpose: str | int) -> None:
    """Start torch's generators from the run's seed and a purpose.

    torch.manual_seed does the same and a hundred times slower, since it looks for every backend.
    """
    number = mix(seed, *purpose)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(number)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def low_precision(precision: Literal["auto", "float32", "bf16", "fp16"], device: torch.device) -> torch.dtype | None:
    """The type of autocast, or None for float32 throughout."""
    match precision:
        case "bf16":
            return torch.bfloat16
        case "fp16":
            return torch.float16
        case "auto" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16
        case _:
            return None


def autocast(dtype: torch.dtype | None, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which the model runs."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def compiled(function: Made, device: torch.device, *, one_shape: bool) -> Made:
    """The function through torch.compile, one graph for batches of any size, so that a resumed run computes the same.

    `one_shape`: all batches have the same sizes; then CUDA records what it launches and launches it as one graph.
    InputError where torch would find no C++ compiler, which it needs for the CPU.
    """
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    if device.type == "cpu" and not any(name and shutil.which(name) for name in names):
        raise InputError(
            "train.compile: there is no C++ compiler here, and torch compiles for the CPU with one",
            help="install one, such as g++ (on Debian: apt install g++), or leave train.compile out",
        )
    # the plan of an attention is a pure function, so that it may be traced in place of what is remembered of it
    warnings.filterwarnings("ignore", r"Dynamo detected a call to a `functools\.lru_cache`", UserWarning)
    recorded = one_shape and device.type == "cuda"
    made: Any = torch.compile(function, mode="reduce-overhead") if recorded else torch.compile(function, dynamic=True)
    found: Made = made
    return found


def environment(device: torch.device) -> dict[str, Any]:
    """All outside the spec that decides the bits of a run, and what a reader of it will want to know."""
    return {
        "attncli": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu": _cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def peak_memory(device: torch.device) -> float:
    """The most memory held so far, in megabytes: of the GPU, or resident in the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a process begins with that of the one which started it
        most = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if most is not None:
            return int(most.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024  # ru_maxrss counts bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit that the working folder is at, if it is in a git repository."""
    if not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        return None
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None

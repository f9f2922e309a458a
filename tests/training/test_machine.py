"""Devices, precision, random numbers, and the record of the surroundings."""

import os
import platform
import shutil
import subprocess
import sys

import pytest
import torch

from attncli.errors import InputError
from attncli.training.machine import choose_device, compiled, environment, low_precision, peak_memory, seed_random

CPU = torch.device("cpu")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError) as error:
        choose_device("cuda")
    assert str(error.value) == (
        f"--device cuda: torch {torch.__version__} sees no such device here\nhelp: use --device auto"
    )


def test_auto_takes_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


def test_seeds_are_those_of_torch_and_of_their_purpose():
    seed_random(3, "dropout", 7)
    one = torch.rand(5)
    seed_random(3, "dropout", 8)
    assert not torch.equal(one, torch.rand(5))
    seed_random(3, "dropout", 7)
    assert torch.equal(one, torch.rand(5))


def test_auto_precision_is_float32_on_the_cpu():
    assert low_precision("auto", CPU) is None
    assert low_precision("float32", CPU) is None
    assert low_precision("bf16", CPU) is torch.bfloat16
    assert low_precision("fp16", CPU) is torch.float16


def test_the_environment_names_what_decides_the_bits():
    found = environment(CPU)
    assert {"attncli", "torch", "python", "platform", "cpu", "cpu_capability", "commit"} < set(found)
    assert found["threads"] == torch.get_num_threads()
    assert found["device"] == "cpu"


def test_memory_is_in_megabytes():
    assert 20 < peak_memory(CPU) < 100_000


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError) as error:
        compiled(len, CPU, one_shape=True)
    assert str(error.value) == (
        "train.compile: there is no C++ compiler here, and torch compiles for the CPU with one\n"
        "help: install one, such as g++ (on Debian: apt install g++), or leave train.compile out"
    )


@pytest.mark.parametrize(
    ("device", "one_shape", "asked"),
    [("cuda", True, {"mode": "reduce-overhead"}), ("cuda", False, {"dynamic": True}), ("cpu", True, {"dynamic": True})],
)
def test_batches_of_one_shape_are_recorded_as_a_graph_of_cuda(monkeypatch, device, one_shape, asked):
    """What is asked of torch; there was no GPU to run it on."""
    monkeypatch.setattr(shutil, "which", lambda name: "g++")
    monkeypatch.setattr(torch, "compile", lambda function, **named: named)
    assert compiled(len, torch.device(device), one_shape=one_shape) == asked


def test_memory_is_that_of_the_process_and_not_of_the_one_that_started_it():
    held = bytearray(1200 * 2**20)
    ask = "import torch; from attncli.training.machine import peak_memory; print(peak_memory(torch.device('cpu')))"
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
    assert 20e6 < float(said) * 1e6 < len(held)


FAULTS = """
import resource, torch
from attncli.training.machine import use_threads
use_threads(1)
for _ in range(40):  # what else is allocated may part the first few, until one that was freed is wide enough
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc")
def test_memory_that_is_freed_is_used_again_unless_the_user_says_otherwise():
    faults = []
    for said in ({}, {"MALLOC_MMAP_THRESHOLD_": "131072"}):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
        done = subprocess.run(
            [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, env=env | said
        )
        faults.append(int(done.stdout))
    assert faults[0] < 100, "64 MB are 16,384 pages"
    assert faults[1] > 16_000

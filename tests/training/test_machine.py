"""Devices, precision, random numbers, and the record of the surroundings."""

import shutil

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
        compiled(len, CPU)
    assert str(error.value) == (
        "train.compile: there is no C++ compiler here, and torch compiles for the CPU with one\n"
        "help: install one, such as g++ (on Debian: apt install g++), or leave train.compile out"
    )

"""Blocks of memory go back to the system at once where layers are computed twice, and nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import write_tiny_model

CHILD = """
import resource, sys
import torch
from luthier.engine.forward import Engine
from luthier.engine.memory import Passes, choose_passes
from luthier.flow import Tuned
from luthier.methods import lora
from luthier.models import load_model, resolve

model = load_model(resolve(sys.argv[1]), torch.float32)
settings = lora.Settings(target_modules="all-linear")
engine = Engine(lora.attach(model, settings, 0))
passes, _ = choose_passes(engine, 16, 2, 2**40)
assert not passes.checkpointing
if sys.argv[2] == "twice":
    Passes(checkpointing=True).put_on(engine)
block = torch.ones(2**18)  # freed once, so that the library knows such blocks and keeps them
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    block = torch.ones(2**18)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the page faults of Linux")
def test_a_look_at_layers_computed_twice_leaves_the_heap_as_it_was(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")

    def faults(how: str) -> int:
        command = [sys.executable, "-c", CHILD, str(tmp_path / "model"), how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    # 50 blocks of 1 MiB are 12,800 pages of 4 KiB.
    assert faults("once") < 1_280 < 6_400 < faults("twice")

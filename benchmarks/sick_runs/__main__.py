"""The battery of sick runs: makes it, and says how well diagnosis tells them.

`python -m benchmarks.sick_runs build` makes what is not kept yet: 48 sick runs and 24 healthy ones.
`python -m benchmarks.sick_runs held-out --rules COMMIT` makes as many with other seeds, data and another model;
`held-out-2` does so for rules that were changed by what the first two halves showed.
`python -m benchmarks.sick_runs table build [--write]` diagnoses the kept ones and prints the table of confusion.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.sick_runs.cases import TASKS


def main() -> None:
    """Makes a half, or prints its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*TASKS, "table", "unpack"))
    parser.add_argument("half", nargs="?", default="build", choices=tuple(TASKS))
    parser.add_argument("--only", help="runs whose names begin so: overfitting-")
    parser.add_argument("--packaged", action="store_true", help="the half's six runs with the packaged model")
    parser.add_argument("--most", type=int, help="so many runs at most")
    parser.add_argument("--tries", type=int, default=5, help="seeds of a run, until one is what it is meant to be")
    parser.add_argument("--rules", help="held-out: the commit of the rules of diagnosis, which stand from here on")
    parser.add_argument("--write", action="store_true", help="the table into docs/sick-runs.md")
    asked = parser.parse_args()
    if asked.what == "table":
        from benchmarks.sick_runs.table import show

        show(asked.half, asked.write)
    elif asked.what == "unpack":
        from benchmarks.sick_runs import kept

        for name in kept.index(asked.half)["runs"]:
            print(kept.unpacked(asked.half, name))
    else:
        from benchmarks.sick_runs.making import make

        if asked.what != "build":
            from benchmarks.sick_runs import kept
            from benchmarks.sick_runs.table import rules_digest

            if not asked.rules:
                parser.error("held-out runs are made after the rules are committed: --rules COMMIT")
            kept.bind(asked.what, {"commit": asked.rules, "digest": rules_digest()})
        model = ""
        if asked.packaged:
            from luthier.models import resolve

            model = str(resolve("smollm2-135m-instruct", print).folder)
        print(f"{sum(1 for _ in make(asked.what, asked.only, asked.most, model, asked.tries))} runs made")


if __name__ == "__main__":
    main()

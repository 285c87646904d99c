"""`make bench`: every benchmark, as ratios against a reference in the same run.

`python -m tests.bench imports pages memory` runs some of them; `--runs 3` sets how often each side runs (medians are told).
The database is one of its own, on the embedded server of TOUCHSTONE_DATA (default: var/bench), and goes afterwards.
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHES = ("imports", "memory", "pages", "ingest", "validators", "training", "callback", "compare", "evaluation", "inference")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("benches", nargs="*", default=[], help=f"Of: {', '.join(BENCHES)} (default: all).")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("TOUCHSTONE_DATA", str(ROOT / "var" / "bench"))
    os.environ.setdefault("TOUCHSTONE_LOG_LEVEL", "WARNING")
    sys.path.insert(0, str(ROOT))

    import django

    django.setup()
    from tests.bench import stage

    with stage.database():
        for name in arguments.benches or BENCHES:
            module = __import__(f"tests.bench.bench_{name}", fromlist=["run"])
            print(f"\n== {name}: {module.__doc__.splitlines()[0]}", flush=True)
            module.run(arguments.runs)


main()

"""Peak memory of an import over the idle process, at 475,000 and at 4,750,000 predictions (aim: below 150 MB)."""

from tests.bench import stage

# VmHWM is the peak of this program alone; ru_maxrss would hold that of the process it was started from.
CHILD = """
import sys
from pathlib import Path
import django
django.setup()
from django.core.management import call_command
from predictions.management.commands.import_predictions import Command

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

idle = kilobytes("VmRSS")
call_command(Command(), *sys.argv[1:], stdout=open("/dev/null", "w"))
print((kilobytes("VmHWM") - idle) / 1024, idle / 1024)
"""


def run(runs: int) -> None:
    stage.imported_truth()
    for count in (475_000, 4_750_000):
        _, results = stage.files(count)
        grown, idle = stage.process("-c", CHILD, stage.SLUG, str(results), "--name", f"memory-{count}").split()
        print(f"{count:>9,} predictions: {float(grown):6.1f} MB over the idle process of {float(idle):.1f} MB", flush=True)

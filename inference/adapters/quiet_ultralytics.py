"""Importing Ultralytics so that it stays at home: it neither calls out, downloads nor installs, and leaves others' parts alone.

Its settings are read once, when it is imported; import this module before anything of the package.
"""

import os
import tempfile
from pathlib import Path

import torch
from PIL import Image

os.environ["YOLO_OFFLINE"] = "true"
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ["YOLO_VERBOSE"] = "false"
# Its own loader of pickles then makes nothing but models, also where our inspection should have missed something.
os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / f"touchstone-ultralytics-{os.getuid()}"))

_threads, _openmp = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")

from ultralytics.utils import SETTINGS, patches  # noqa: E402 - after its environment

if SETTINGS["sync"]:
    SETTINGS.update({"sync": False})
torch.set_num_threads(_threads)
# Theirs asks for another package where a file is no image, in the whole process, and fails otherwise than Pillow does.
Image.open = patches._image_open
if _openmp is None:
    os.environ.pop("OMP_NUM_THREADS", None)

"""How the parts are put together."""

import os

# Before numpy is loaded: pages and jobs scale by processes, and OpenBLAS' waiting threads take the cores from the others.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

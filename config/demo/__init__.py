"""The demo's own pictures, truth and simulated runs. Only `project`, which brings them in, knows Django."""

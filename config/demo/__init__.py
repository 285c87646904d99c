"""The demo's own pictures, truth and simulated runs. Nothing in here knows Django, but for the command that fills the project."""

"""The kinds of problem a dataset poses."""

TASK_TYPES = {
    "classification": "Classification",
    "detection": "Detection",
    "segmentation": "Segmentation",
    "pose": "Pose",
}


def choices() -> list[tuple[str, str]]:
    """Key and label, for a field whose choices may grow without a migration."""
    return list(TASK_TYPES.items())

"""How the answers of a run were made, and in what two runs differ there."""

from predictions.models import PredictionRun


def differences(a: PredictionRun, b: PredictionRun) -> list[str]:
    """In words, what makes scores of these runs not comparable; empty where nothing does."""
    found = []
    if a.set_version_id != b.set_version_id:
        found.append(f"They answered different questions: {a.set_version} and {b.set_version}.")
    if a.score_version != b.score_version:
        found.append(f"Their scores have different definitions: versions {a.score_version} and {b.score_version}.")
    for name in sorted(a.generation_params.keys() | b.generation_params.keys()):
        one, other = a.generation_params.get(name), b.generation_params.get(name)
        if one != other:
            found.append(
                f"{name.replace('_', ' ')}: {one if one is not None else 'not told'} and {other if other is not None else 'not told'}."
            )
    return found

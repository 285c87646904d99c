"""Where to send, as whom, and how: arguments beat the environment."""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from touchstone_client.errors import TouchstoneError

MODES = ("online", "offline", "disabled")
JOB_TOKEN = "tsj_"  # noqa: S105 - how such tokens begin
DEFAULT_DIR = "touchstone"


@dataclass(frozen=True)
class Settings:
    """`dir` is where answers wait on disk; `token` never shows in messages."""

    mode: str
    url: str
    token: str
    job_id: str
    project: str
    run_name: str
    dir: Path

    @property
    def is_online(self) -> bool:
        return self.mode == "online"

    @property
    def is_disabled(self) -> bool:
        return self.mode == "disabled"

    @property
    def job_dir(self) -> Path:
        """The job's own folder; its name is the job's id as far as file systems take it."""
        return self.dir / re.sub(r"[^\w.@+=-]", "_", self.job_id)

    def __repr__(self) -> str:
        return f"Settings(mode={self.mode!r}, url={self.url!r}, job_id={self.job_id!r}, dir={str(self.dir)!r})"


def resolve(
    *,
    url: str | None = None,
    token: str | None = None,
    job_id: str | None = None,
    project: str | None = None,
    run_name: str | None = None,
    mode: str | None = None,
    dir: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings from arguments and TOUCHSTONE_* variables. Raises TouchstoneError, which names all that is missing."""
    env = os.environ if environment is None else environment
    chosen = (mode or env.get("TOUCHSTONE_MODE") or "online").strip().lower()
    if chosen not in MODES:
        raise TouchstoneError(f"mode is {chosen!r}; it must be one of {', '.join(MODES)} (argument mode=, or TOUCHSTONE_MODE).")
    key = (token or env.get("TOUCHSTONE_TOKEN") or "").strip()
    named = (job_id or env.get("TOUCHSTONE_JOB_ID") or "").strip()
    found = Settings(
        mode=chosen,
        url=(url or env.get("TOUCHSTONE_URL") or "").strip().rstrip("/"),
        token=key,
        job_id=named or _made_from(run_name),
        project=project or env.get("TOUCHSTONE_PROJECT") or "",
        run_name=run_name or "",
        # Absolute: a training may change its folder.
        dir=Path(dir or env.get("TOUCHSTONE_DIR") or DEFAULT_DIR).absolute(),
    )
    if found.is_online:
        _check_online(found, has_job_id=bool(named))
    return found


def _made_from(run_name: str | None) -> str:
    """A job's id for who gave none: the run's name in letters that addresses take, else a random one."""
    slug = re.sub(r"[^\w.-]+", "-", run_name or "").strip("-")[:100]
    return slug or f"job-{secrets.token_hex(4)}"


def _check_online(found: Settings, *, has_job_id: bool) -> None:
    missing = []
    if not found.url:
        missing.append("the server's address (url= or TOUCHSTONE_URL, such as http://localhost:8000)")
    elif urlsplit(found.url).scheme not in ("http", "https") or not urlsplit(found.url).hostname:
        missing.append(f"a server's address that begins with http:// or https:// (url= or TOUCHSTONE_URL is {found.url!r})")
    if not found.token:
        missing.append("a token (token= or TOUCHSTONE_TOKEN; make one on the job's Set-up tab)")
    if found.token.startswith(JOB_TOKEN) and not has_job_id:
        missing.append("the job's id, since the token is one job's (job_id= or TOUCHSTONE_JOB_ID; the Set-up tab shows it)")
    if missing:
        raise TouchstoneError(
            "Touchstone cannot start: it needs " + ", and ".join(missing) + ". "
            "To write to disk only and send later, set TOUCHSTONE_MODE=offline; to switch it off, TOUCHSTONE_MODE=disabled."
        )

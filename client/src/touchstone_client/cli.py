"""`touchstone`: sending what waits on disk, sampling from saved checkpoints, and asking gates."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from touchstone_client.errors import TouchstoneError
from touchstone_client.gate import NOT_ASKED, add_gate
from touchstone_client.sender import Server, send_file
from touchstone_client.settings import resolve
from touchstone_client.spool import REFUSED, SpoolFile, files_in


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 where all is done, 1 where something waits still, 2 for wrong use; of `gate` see there."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Each of its requests would be a line among ours.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(options.work(options))
    except TouchstoneError as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 2)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """argparse ends wrong use with 2, which says "undecided" of a gate."""
    try:
        return _parser().parse_args(arguments)
    except SystemExit as ended:
        if ended.code and arguments[:1] == ["gate"]:
            raise SystemExit(NOT_ASKED) from None
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="touchstone", description="The client of Touchstone.")
    commands = parser.add_subparsers(required=True)
    sync = commands.add_parser("sync", help="send what waits in DIR")
    sync.add_argument("dir", type=Path)
    _add_server(sync)
    sync.set_defaults(work=_sync)
    status = commands.add_parser("status", help="what waits in DIR")
    status.add_argument("dir", type=Path)
    status.set_defaults(work=_status)
    sample = commands.add_parser("sample", help="ask a saved checkpoint, and send its answers")
    sample.add_argument("checkpoint", type=Path, help="a folder that Trainer saved, such as out/checkpoint-500")
    sample.add_argument("--prompts", required=True, help="the file to draw from")
    sample.add_argument("--num-prompts", type=int, default=32)
    sample.add_argument("--seed", type=int, default=42)
    sample.add_argument("--max-new-tokens", type=int, default=128)
    sample.add_argument("--batch-size", type=int, default=8)
    sample.add_argument("--epoch", type=float, help="as trainer_state.json says, unless given")
    sample.add_argument("--step", type=int)
    sample.add_argument("--job-id")
    sample.add_argument("--dir", type=Path)
    _add_server(sample)
    sample.set_defaults(work=_sample)
    _add_server(add_gate(commands))
    return parser


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="default: TOUCHSTONE_URL")
    parser.add_argument("--token", help="default: TOUCHSTONE_TOKEN, which no other user of the machine can read")


def _sync(options: argparse.Namespace) -> int:
    # Each request names its job; this id only satisfies the check of the settings.
    settings = resolve(url=options.url, token=options.token, job_id="any", mode="online", dir=options.dir)
    waiting = _waiting(options.dir)
    server = Server(settings.url, settings.token)
    left = 0
    for file in waiting:
        with file.locked() as alone:
            if not alone:
                print(f"{file.path}: a running training sends it itself")
                continue
            outcome = send_file(file, server, print)
        if outcome.kind == "sent":
            print(f"{file.path}: sent")
        else:
            left += 1
            print(f"{file.path}: waits still ({outcome.reason})", file=sys.stderr)
    print(f"{len(waiting) - left} of {len(waiting)} files sent" if waiting else f"Nothing waits in {options.dir}")
    return 1 if left else 0


def _waiting(folder: Path) -> list[SpoolFile]:
    if not folder.is_dir():
        raise TouchstoneError(f"{folder} is not a folder. Give the one that TOUCHSTONE_DIR names; ./touchstone unless set.")
    return [file for file in files_in(folder) if not file.is_done]


def _status(options: argparse.Namespace) -> int:
    waiting = _waiting(options.dir)
    for file in waiting:
        requests = sum(1 for _ in file.pending())
        print(f"{file.path}: {requests} requests wait")
    for path in sorted(options.dir.rglob(f"*{REFUSED}")):
        with path.open("rb") as lines:
            print(f"{path}: {sum(1 for _ in lines)} were refused, with their reasons")
    print("Send them with: touchstone sync " + str(options.dir) if waiting else f"Nothing waits in {options.dir}")
    return 1 if waiting else 0


def _sample(options: argparse.Namespace) -> int:
    # Only this command needs torch and transformers.
    from touchstone_client.checkpoints import sample_checkpoint

    return sample_checkpoint(options)


if __name__ == "__main__":
    sys.exit(main())

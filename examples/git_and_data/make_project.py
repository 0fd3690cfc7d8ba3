"""Makes the example: a git repository with a small code base, and a big folder of data that git ignores.

python make_project.py DIR [--mb 500]
"""

from __future__ import annotations

import argparse
import random
import shutil
import struct
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BLOCK = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description="a git repository with a big ignored data folder")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mb", type=int, default=500, help="of data, in files of 1 MB")
    args = parser.parse_args()
    shutil.copytree(HERE / "project", args.folder)  # refuses a folder that is there
    write_data(args.folder / "data", args.mb)
    git = ["git", "-C", str(args.folder), "-c", "user.name=example", "-c", "user.email=example@localhost"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "A small code base"]):
        subprocess.run([*git, *words], check=True)
    print(f"{args.folder}: {args.mb} MB in data/, which git ignores")


def write_data(folder: Path, count: int) -> None:
    """``count`` files of pairs of floats, (x, 3 x - 1 + noise)."""
    folder.mkdir()
    dice = random.Random(1)
    for number in range(count):
        pairs = [(x, 3 * x - 1 + dice.gauss(0, 0.3)) for x in (dice.uniform(-1, 1) for _ in range(512))]
        block = struct.pack("<1024f", *(value for pair in pairs for value in pair))
        (folder / f"part-{number:05d}.bin").write_bytes(block * (BLOCK // len(block)))


if __name__ == "__main__":
    main()

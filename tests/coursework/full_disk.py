"""In a mount namespace of its own: mark a class on a disk that is full: `full_disk.py COURSE FOLDER`."""

import shutil
import subprocess
import sys
from pathlib import Path

import tiny
from test_gradebook import cells
from test_never_lost import mark, run

ROOM = (0, 12, 30, 60)
"""What is left on the disk, in kB, when marking begins."""


def main(model, disk):
    wanted = None
    for room in (None, *ROOM):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
        course = tiny.Course(disk / "course")
        shutil.copytree(model, course.root)
        if room is None:
            wanted = mark(course), cells(course)
        else:
            fill(disk, room)
            done = run(course)
            print(room, done.stdout)
            assert done.returncode == 1, done.stdout + done.stderr
            assert "The disk is full" in done.stdout
            assert "Traceback" not in done.stdout + done.stderr
            (disk / "filler").unlink()
            for student in {student for student, *_ in cells(course)}:
                given = [mark is not None for who, _, _, mark, _ in cells(course) if who == student]
                assert all(given) or not any(given), (room, student)
            assert (mark(course), cells(course)) == wanted, room
        subprocess.run(["umount", "-l", disk], check=True)
    print("all right")


def fill(disk, room):
    left = shutil.disk_usage(disk).free - room * 1024
    (disk / "filler").write_bytes(b"\0" * left)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

#!/bin/sh
# CPU time of `remux`, `cp` and FFmpeg for the same work: a folder of HLS (MPEG-TS segments) to one MP4.
#
#   benches/peers/mp4.sh REMUX PLAYLIST [RUNS]
#
# REMUX is the release build of the program, PLAYLIST a .m3u8 with its segments beside it, best on a tmpfs:
# `remux FILE.mp4 FOLDER --to hls --with-index` makes one. With a stored index beside it `remux` runs once with and once
# without. `cp` copies the segments to as many files. FFmpeg runs with `-c copy`, with and without `+faststart`; MP4Box (Debian: gpac) where it is
# installed. The tools take turns, RUNS (9) times after one that is not counted. Told are medians of user and system time
# of the whole process, in seconds, their sum in proportion to that of `cp` in the same turn, the least sum and its
# proportion to `cp`'s least, which other work on the machine distorts less, and the most memory. Needs
# python3; output goes to a folder of its own beside PLAYLIST's folder, so that both are on one file system.
set -eu
remux=$1 playlist=$2 runs=${3:-9}
out=$(mktemp -d "$(dirname "$(dirname "$(realpath "$playlist")")")/peers.XXXXXX")
trap 'rm -rf "$out"' EXIT
exec python3 - "$remux" "$playlist" "$runs" "$out" <<'PY'
import atexit, glob, os, shutil, statistics, subprocess, sys

remux, playlist, runs, out = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
segments = sorted(glob.glob(os.path.join(os.path.dirname(playlist), "*.ts")))
copies = os.path.join(out, "copies")


def measure(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed with status {status}")
    return usage.ru_utime, usage.ru_stime, usage.ru_maxrss / 1024


ffmpeg = ["ffmpeg", "-nostdin", "-y", "-v", "error", "-i", playlist, "-c", "copy", "-bsf:a", "aac_adtstoasc"]
tools = {"cp": ["cp", *segments, copies], "remux": [remux, "-q", playlist, os.path.join(out, "remux.mp4")]}
alone = os.path.join(os.path.dirname(playlist), "peers-alone.m3u8")
if os.path.exists(os.path.splitext(playlist)[0] + ".index"):
    tools["remux, no index"] = [remux, "-q", alone, os.path.join(out, "alone.mp4")]
if shutil.which("ffmpeg"):
    tools["ffmpeg"] = [*ffmpeg, os.path.join(out, "plain.mp4")]
    tools["ffmpeg +faststart"] = [*ffmpeg, "-movflags", "+faststart", os.path.join(out, "front.mp4")]
if shutil.which("MP4Box"):
    tools["MP4Box"] = ["MP4Box", "-quiet", "-new", "-add", playlist, os.path.join(out, "box.mp4")]

shutil.copy(playlist, alone)
atexit.register(os.remove, alone)
figures = {name: [] for name in tools}
for turn in range(runs + 1):
    for name, command in tools.items():
        shutil.rmtree(copies, ignore_errors=True)
        os.mkdir(copies)
        for old in glob.glob(os.path.join(out, "*.mp4")):
            os.remove(old)
        figure = measure(command)
        if turn > 0:
            figures[name].append(figure)

size = sum(map(os.path.getsize, segments))
print(f"{len(segments)} segments, {size / 1e6:.0f} MB, medians of {runs} turns")
print(f"{'':18} {'user':>7} {'system':>7} {'sum':>7} {'to cp':>7} {'least':>7} {'to cp':>7} {'MB':>7}")
least = {name: min(row[0] + row[1] for row in rows) for name, rows in figures.items()}
for name, rows in figures.items():
    user, system = (statistics.median(row[n] for row in rows) for n in (0, 1))
    total = statistics.median(row[0] + row[1] for row in rows)
    ratio = statistics.median((row[0] + row[1]) / (cp[0] + cp[1]) for row, cp in zip(rows, figures["cp"]))
    best = f"{least[name]:7.3f} {least[name] / least['cp']:7.2f}"
    print(f"{name:18} {user:7.3f} {system:7.3f} {total:7.3f} {ratio:7.2f} {best} {max(row[2] for row in rows):7.1f}")
PY

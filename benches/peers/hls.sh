#!/bin/sh
# CPU time of `record`, of FFmpeg and of `cp` for the same MP4 made into HLS segments, copied.
#
#   benches/peers/hls.sh RECORD FILE.mp4 [RUNS]
#
# RECORD is the release build of the program. The three take turns, RUNS (7) times; least and median of user and
# system seconds are told, and the ratios of the medians. Output goes to TMPDIR, a tmpfs for preference. Needs
# ffmpeg and python3.
set -eu
record=$1 file=$2 runs=${3:-7}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
exec python3 - "$record" "$file" "$runs" "$out" <<'PY'
import os, resource, shutil, statistics, subprocess, sys

record, file, runs, out = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
commands = {
    "cp": ["cp", file, out + "/cp/copy.mp4"],
    "ffmpeg": ["ffmpeg", "-nostdin", "-v", "error", "-i", file, "-c", "copy", "-f", "hls", "-hls_time", "10"]
    + ["-hls_list_size", "0", "-hls_flags", "temp_file", out + "/ffmpeg/index.m3u8"],
    "record": [record, "-q", "--av-merge", "--participant", "alice=" + file, "--out", out + "/record"],
}


def cpu(name):
    folder = os.path.join(out, name)
    os.mkdir(folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(commands[name], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(folder)
    return after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


times = {name: [] for name in commands}
for _ in range(runs):
    for name in commands:
        times[name].append(cpu(name))
print(f"{os.path.getsize(file) / 1e6:.1f} MB, {runs} runs in turn")
print(f"{'':8} {'user':>14} {'system':>14} {'total':>14}   (least, median)")
median = {}
for name, runs in times.items():
    columns = [[user for user, _ in runs], [system for _, system in runs], [sum(run) for run in runs]]
    median[name] = [statistics.median(column) for column in columns]
    print(f"{name:8} " + " ".join(f"{min(c):6.2f} {statistics.median(c):6.2f} " for c in columns))
print(f"user: record / ffmpeg {median['record'][0] / max(median['ffmpeg'][0], 1e-3):.2f} (goal 0.25)")
print(f"total: record / cp {median['record'][2] / max(median['cp'][2], 1e-3):.2f} (goal 1.5)")
PY

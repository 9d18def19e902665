#!/bin/sh
# CPU time of `merge` and of FFmpeg for the same folder of recordings, copied.
#
#   benches/peers/merge.sh MERGE FOLDER [RUNS]
#
# MERGE is the release build of the program, FOLDER has the files of one task (made with `record`). FFmpeg joins each
# playlist with its concat demuxer and puts sound and pictures of a user into one faststart MP4. Least of RUNS (5)
# user + system times is told, in seconds. Needs ffmpeg and python3.
set -eu
merge=$1 folder=$2 runs=${3:-5}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
exec python3 - "$merge" "$folder" "$runs" "$out" <<'PY'
import glob, os, re, resource, subprocess, sys

merge, folder, runs, out = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3]), sys.argv[4]


def cpu(commands):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


users = {}
for playlist in sorted(glob.glob(folder + "/*.m3u8")):
    user = re.search(r"UserId_s_(.*?)_+UserId_e_(\w+?)\.m3u8", playlist)
    if not user:
        continue
    lines = [line.strip() for line in open(playlist) if line.strip() and not line.startswith("#")]
    name = os.path.join(out, os.path.basename(playlist) + ".txt")
    with open(name, "w") as text:
        text.writelines(f"file '{folder}/{line}'\n" for line in lines)
    users.setdefault(user[1], []).append(name)

ffmpeg = []
for user, lists in users.items():
    command = ["ffmpeg", "-nostdin", "-y", "-v", "error"]
    for name in lists:
        command += ["-f", "concat", "-safe", "0", "-i", name]
    for number in range(len(lists)):
        command += ["-map", str(number)]
    command += ["-c", "copy", "-bsf:a", "aac_adtstoasc", "-movflags", "+faststart"]
    ffmpeg.append(command + [os.path.join(out, "ffmpeg-" + user + ".mp4")])

ours = [[merge, "-q", "-f", folder, "-m", "1", "-o", out]]
times = {"merge": [], "ffmpeg": []}
for _ in range(runs):
    times["merge"].append(cpu(ours))
    times["ffmpeg"].append(cpu(ffmpeg))
size = sum(os.path.getsize(path) for path in glob.glob(folder + "/*.ts"))
best = {name: min(all) for name, all in times.items()}
print(f"{size / 1e6:.1f} MB of segments, least of {runs} runs")
for name, seconds in best.items():
    print(f"{name:8} {seconds:.3f} s CPU, {size / 1e6 / max(seconds, 1e-3):.0f} MB/s")
print(f"ffmpeg / merge: {best['ffmpeg'] / max(best['merge'], 1e-3):.2f}")
PY

#!/bin/sh
# CPU time of `merge` and of FFmpeg for the same folder of recordings, copied or encoded anew.
#
#   benches/peers/merge.sh MERGE FOLDER [RUNS [copy|encode]]
#
# MERGE is the release build of the program, FOLDER has the files of one task (made with `record`). FFmpeg joins each
# playlist with its concat demuxer and puts sound and pictures of a user into one faststart MP4. Least of RUNS (5)
# user + system times is told, in seconds, and of the elapsed times. `encode` takes 15 pictures a second at the bit rate
# of `merge`, both with
# OpenH264 on one thread. Needs ffmpeg (with libopenh264 for `encode`; FFMPEG names another than that of the path) and
# python3.
set -eu
merge=$1 folder=$2 runs=${3:-5} mode=${4:-copy}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
exec python3 - "$merge" "$folder" "$runs" "$out" "$mode" "${FFMPEG:-ffmpeg}" <<'PY'
import glob, os, re, resource, subprocess, sys, time

merge, folder, runs, out = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
mode, program = sys.argv[5:7]


def cpu(commands):
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used, time.monotonic() - began


def encoded(lists):
    """What `merge --copy never` makes of them: its rates, its size, its key frames."""
    options, video = ["-c:a", "aac", "-ar", "48000"], [name for name in lists if "_video" in name]
    for name in video:
        probe = ["ffprobe", "-v", "error", "-f", "concat", "-safe", "0", "-select_streams", "v"]
        probe += ["-show_entries", "stream=width,height", "-of", "csv=p=0", name]
        width, height = map(int, subprocess.check_output(probe, text=True).split()[0].split(",")[:2])
        bits = max(width * height * 15 // 8, 200_000)
        options += ["-r", "15", "-c:v", "libopenh264", "-threads", "1", "-b:v", str(bits), "-g", "150"]
    return options


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
    command = [program, "-nostdin", "-y", "-v", "error"]
    for name in lists:
        command += ["-f", "concat", "-safe", "0", "-i", name]
    for number in range(len(lists)):
        command += ["-map", str(number)]
    command += ["-c", "copy", "-bsf:a", "aac_adtstoasc"] if mode == "copy" else encoded(lists)
    command += ["-movflags", "+faststart"]
    ffmpeg.append(command + [os.path.join(out, "ffmpeg-" + user + ".mp4")])

ours = [[merge, "-q", "-f", folder, "-m", "1", "-o", out]]
if mode == "encode":
    ours[0] += ["--copy", "never"]
times = {"merge": [], "ffmpeg": []}
for _ in range(runs):
    times["merge"].append(cpu(ours))
    times["ffmpeg"].append(cpu(ffmpeg))
size = sum(os.path.getsize(path) for path in glob.glob(folder + "/*.ts"))
best = {name: [min(column) for column in zip(*all)] for name, all in times.items()}
print(f"{mode}, {size / 1e6:.1f} MB of segments, least of {runs} runs")
for name, (seconds, elapsed) in best.items():
    print(f"{name:8} {seconds:.3f} s CPU, {size / 1e6 / max(seconds, 1e-3):.0f} MB/s, {elapsed:.3f} s elapsed")
ratio = [best["ffmpeg"][n] / max(best["merge"][n], 1e-3) for n in (0, 1)]
print(f"ffmpeg / merge: {ratio[0]:.2f} CPU, {ratio[1]:.2f} elapsed")
PY

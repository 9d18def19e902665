#!/bin/sh
# A mixed recording by `record`, FFmpeg and GStreamer: CPU time, bit rate, and how near the pictures are to an exact
# composition.
#
#   benches/peers/mixed.sh RECORD [FOLDER [RUNS]]
#
# RECORD is the release build of the program. FOLDER has clips (*.mp4) of 640x360 at 15 pictures a second with AAC, all as
# long; without it nine of 20 s are made, with noise as of a camera. Nine (again and again where there are fewer) go into a
# grid of 1280x720, then 25 into 1920x1080, at 15 pictures a second with a key frame each 2 s. FFmpeg encodes with x264
# `ultrafast`, GStreamer with OpenH264 (`complexity=low`), `record` with OpenH264. Told are the least user + system time of
# RUNS (3) in seconds for each second of media, the bit rate of the video alone, and PSNR and SSIM of luma against the
# decoded clips scaled by area averages (swscale, exact rounding) into the same windows. Then GStreamer once more at the
# bit rate that `record` really gave. Needs ffmpeg, gstreamer1.0-tools, gstreamer1.0-plugins-{base,good,bad},
# gstreamer1.0-libav and python3.
set -eu
record=$1 folder=${2:-} runs=${3:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$folder" ]; then
    folder=$work/clips
    mkdir "$folder"
    for n in 1 2 3 4 5 6 7 8 9; do
        ffmpeg -nostdin -v error -f lavfi -i "testsrc2=s=640x360:r=15:d=20,hue=h=$((40 * n)),noise=alls=6:allf=t:all_seed=$n" \
            -f lavfi -i "sine=f=$((200 + 50 * n)):r=48000:d=20" -c:v libx264 -profile:v baseline -bf 0 -g 30 -b:v 400k \
            -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv -c:a aac -b:a 64k -ac 2 "$folder/$n.mp4"
    done
fi
python3 - "$record" "$folder" "$runs" "$work" <<'PY'
import glob, json, math, os, re, resource, shutil, subprocess, sys

record, folder, runs, work = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
clips = sorted(glob.glob(os.path.join(folder, "*.mp4")))
probe = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", clips[0]]
seconds = int(float(subprocess.check_output(probe, text=True)))
FFMPEG = ["ffmpeg", "-nostdin", "-hide_banner", "-y", "-v", "error"]
layout = os.path.join(work, "layout.json")
with open(layout, "w") as text:
    # Every window shows the whole picture, as the others do.
    json.dump({"MixLayoutMode": 3, "RenderMode": 0}, text)


def cpu(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr.decode()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def windows(count, width, height):
    """The grid of the recorder: borders rounded down to even."""
    columns = math.ceil(math.sqrt(count))
    even = lambda part, whole: part * whole // columns // 2 * 2
    for n in range(count):
        row, column = divmod(n, columns)
        left, top = even(column, width), even(row, height)
        yield left, top, even(column + 1, width) - left, even(row + 1, height) - top


def inputs(sources):
    return [part for source in sources for part in ("-i", source)]


def stacked(count, width, height, flags):
    cells = list(windows(count, width, height))
    scale = [f"[{n}:v]scale={w}:{h}:flags={flags}[c{n}]" for n, (_, _, w, h) in enumerate(cells)]
    places = "|".join(f"{left}_{top}" for left, top, _, _ in cells)
    return ";".join(scale) + ";" + "".join(f"[c{n}]" for n in range(count)) + f"xstack=inputs={count}:layout={places}[v]"


def ours(sources, width, height, bits, out):
    command = [record, "--mode", "mixed", "--layout", layout, "--canvas", f"{width}x{height}", "--fps", "15"]
    command += ["--bitrate", str(bits), "--gop", "2", "--audio-bitrate", "128000", "-q", "--out", out]
    for n, source in enumerate(sources):
        command += ["--participant", f"u{n:02}={source}"]
    return command


def ffmpeg(sources, width, height, bits, out):
    os.makedirs(out)
    count = len(sources)
    graph = stacked(count, width, height, "bilinear") + ";"
    graph += "".join(f"[{n}:a]" for n in range(count)) + f"amix=inputs={count}:normalize=0[a]"
    command = FFMPEG + inputs(sources) + ["-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-c:a", "aac", "-b:a", "128k"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "30", "-b:v", str(bits), "-maxrate"]
    command += [str(bits * 3 // 2), "-bufsize", str(bits * 2), "-f", "hls", "-hls_time", "10", "-hls_list_size", "0"]
    return command + [os.path.join(out, "list.m3u8")]


def gstreamer(sources, width, height, bits, out):
    os.makedirs(out)
    pads = " ".join(
        f"sink_{n}::xpos={x} sink_{n}::ypos={y} sink_{n}::width={w} sink_{n}::height={h}"
        for n, (x, y, w, h) in enumerate(windows(len(sources), width, height))
    )
    line = f"gst-launch-1.0 -q compositor name=c background=black {pads} ! "
    line += f"video/x-raw,format=I420,width={width},height={height},framerate=15/1 ! queue ! "
    line += f"openh264enc complexity=low rate-control=bitrate gop-size=30 bitrate={bits} multi-thread=1 ! h264parse ! queue ! mux. "
    # One file: hlssink2 does not always come to its end.
    line += f"mpegtsmux name=mux ! filesink location={out}/all.ts audiomixer name=m ! audioconvert ! avenc_aac bitrate=128000 ! "
    line += "aacparse ! queue ! mux. "
    for n, source in enumerate(sources):
        line += f"filesrc location={source} ! qtdemux name=d{n} d{n}.video_0 ! queue ! h264parse ! avdec_h264 ! queue ! c.sink_{n} "
        line += f"d{n}.audio_0 ! queue ! aacparse ! avdec_aac ! audioconvert ! queue ! m. "
    return line.split()


def media(out):
    return (glob.glob(out + "/**/*.m3u8", recursive=True) or glob.glob(out + "/**/*.ts", recursive=True))[0]


def bits_per_second(path):
    probe = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=size", "-of", "csv=p=0", path]
    sizes = [int(line.strip(",")) for line in subprocess.check_output(probe, text=True).split()]
    return sum(sizes) * 8 * 15 // len(sizes), len(sizes)


def likeness(path, exact, width, height, pictures):
    """PSNR and SSIM of luma; the pictures of the two may begin one or two apart."""
    def measure(shift, count):
        mine, other = max(shift, 0), max(-shift, 0)
        cut = lambda first: f"trim=start_frame={first}:end_frame={first + count},settb=1/15,setpts=N"
        raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", "15", "-i", exact]
        graph = f"[0:v]{cut(mine)},split[a][b];[1:v]{cut(other)},split[c][d];[a][c]psnr;[b][d]ssim"
        command = ["ffmpeg", "-nostdin", "-hide_banner", "-i", path] + raw + ["-lavfi", graph, "-an", "-fps_mode", "passthrough", "-f", "null", "-"]
        told = subprocess.run(command, capture_output=True, text=True).stderr
        return float(re.search(r"PSNR y:([\d.]+)", told)[1]), float(re.search(r"SSIM Y:([\d.]+)", told)[1])
    shift = max(range(-2, 3), key=lambda shift: measure(shift, 30))
    return (*measure(shift, pictures - 2), shift)


for count, width, height, bits in [(9, 1280, 720, 1_130_000), (25, 1920, 1080, 2_080_000)]:
    sources = [clips[n % len(clips)] for n in range(count)]
    exact = os.path.join(work, "exact.yuv")
    graph = stacked(count, width, height, "area+accurate_rnd+full_chroma_int+full_chroma_inp")
    subprocess.run(FFMPEG + inputs(sources) + ["-filter_complex", graph, "-map", "[v]", "-pix_fmt", "yuv420p", "-f", "rawvideo", exact], check=True)
    print(f"{count} x 640x360 into {width}x{height}, {bits} bit/s asked for, {seconds} s, least of {runs}")
    tools = {"record": ours, "ffmpeg x264 ultrafast": ffmpeg, "gstreamer openh264": gstreamer}
    least = {}
    out = os.path.join(work, "out")
    rate = bits
    for turn in range(runs + 1):
        for name, tool in tools.items():
            # The last turn is for the comparison at one bit rate.
            if turn == runs and name != "gstreamer openh264":
                continue
            shutil.rmtree(out, ignore_errors=True)
            used = cpu(tool(sources, width, height, rate if turn == runs else bits, out)) / seconds
            if turn < runs:
                least[name] = min(used, least.get(name, math.inf))
            if turn in (runs - 1, runs):
                given, pictures = bits_per_second(media(out))
                psnr, ssim, shift = likeness(media(out), exact, width, height, pictures)
                if name == "record":
                    rate = given
                core = f"{least[name]:.3f} core" if turn < runs else f"asked for {rate}"
                print(f"{name:22} {core:14} {given:8} bit/s {pictures} pictures, PSNR {psnr:.2f} dB, SSIM {ssim:.4f} (begins {shift:+})", flush=True)
PY

//! Composing 1 to 25 pictures into 1080p at every level, with what else takes that time beside it: one copy of the
//! canvas and of the sources (the limit of memory), and libyuv on the same planes.
//!
//! Times are the thread's CPU time, so that a busy machine is not taken for slow code.
//!
//! libyuv runs in a program of its own, `peers/compositor.sh` builds it and starts this bench. Without
//! `COMPOSITOR_PEER` in the environment its rows are left out.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use recorder_compositor::{Canvas, Colour, Level, Overlay, Picture, Rect, RenderMode, Rgb, Source, Tile};
use recorder_types::Size;
use rustix::time::{ClockId, clock_gettime};

const CANVAS: (u32, u32) = (1920, 1080);
/// Pictures that each source goes through, as a decoder's output does: they come from memory, not from a cache.
const RING: usize = 4;

/// CPU time of running `work` so many times.
fn cpu_time(times: u64, mut work: impl FnMut()) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        let parts = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
        Duration::new(parts.0.expect("not negative"), parts.1.expect("below a second"))
    };
    let start = now();
    (0..times).for_each(|_| work());
    now() - start
}

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn size((width, height): (u32, u32)) -> Size {
    Size::new(width, height).expect("not zero")
}

/// A random walk per picture, the same as in the peer.
fn pictures(count: usize, (width, height): (u32, u32)) -> Vec<Vec<u8>> {
    let len = (width * height * 3 / 2) as usize;
    let mut state = 1u32;
    let mut value = 128u8;
    let mut sample = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        value = value.wrapping_add(state.to_be_bytes()[0] % 9).wrapping_sub(4);
        value
    };
    (0..count * RING).map(|_| (0..len).map(|_| sample()).collect()).collect()
}

fn grid(count: u32) -> Vec<Tile> {
    let columns = count.isqrt();
    let (width, height) = (CANVAS.0 / columns / 2 * 2, CANVAS.1 / columns / 2 * 2);
    let window = |k: u32| Rect::new(k % columns * width, k / columns * height, size((width, height)));
    (0..count).map(|k| Tile::new(window(k).expect("inside")).with_mode(RenderMode::Stretch)).collect()
}

/// Sources at one step: `changes` says which show their next picture.
fn sources<'a>(
    data: &'a [Vec<u8>],
    size: Size,
    step: usize,
    changes: impl Fn(usize) -> bool,
) -> Vec<Source<'a>> {
    data.chunks(RING)
        .enumerate()
        .map(|(index, ring)| {
            let step = if changes(index) { step } else { 0 };
            let picture = Picture::packed(size, &ring[step % RING]).expect("packed");
            Source::Picture { picture, colour: Colour::default(), generation: step as u64 }
        })
        .collect()
}

fn canvas(level: Level, tiles: &[Tile]) -> Canvas {
    let mut canvas = Canvas::new(size(CANVAS), Colour::default(), Rgb::BLACK, level).expect("even");
    canvas.set_tiles(tiles).expect("inside");
    canvas
}

/// Composes again and again, `changes` of the sources new each time.
fn compose(
    group: &mut Group<'_>,
    id: BenchmarkId,
    mut canvas: Canvas,
    (data, size): (&[Vec<u8>], Size),
    changes: impl Fn(usize) -> bool,
) {
    let mut step = 0;
    canvas.compose(&sources(data, size, step, |_| true)).expect("a source per tile");
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|times| {
            cpu_time(times, || {
                step += 1;
                black_box(canvas.compose(&sources(data, size, step, &changes)).expect("a source per tile"));
            })
        });
    });
}

/// libyuv at work in another process: it is told how many frames to compose and answers with nanoseconds.
struct Peer {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Peer {
    fn start((width, height): (u32, u32), count: u32) -> Option<Self> {
        let program = std::env::var_os("COMPOSITOR_PEER")?;
        let arguments = [width, height, CANVAS.0, CANVAS.1, count].map(|number| number.to_string());
        let mut command = Command::new(program);
        let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("COMPOSITOR_PEER names the program that compositor.sh builds");
        let ask = child.stdin.take().expect("piped");
        let answer = BufReader::new(child.stdout.take().expect("piped"));
        Some(Self { child, ask, answer })
    }

    fn run(&mut self, frames: u64) -> Duration {
        writeln!(self.ask, "{frames}").expect("the peer listens");
        let mut line = String::new();
        self.answer.read_line(&mut line).expect("the peer answers");
        Duration::from_nanos(line.trim().parse().expect("nanoseconds"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has no state to lose; without input it would end by itself.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

fn rows(criterion: &mut Criterion) {
    for source in [(640, 360), (1280, 720)] {
        for count in [1u32, 4, 9, 16, 25] {
            let name = format!("compose/{count}x{}", size(source));
            let mut group = criterion.benchmark_group(&name);
            group.throughput(Throughput::Elements(1)).sample_size(20);
            group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
            let data = pictures(count as usize, source);
            for level in Level::available() {
                let canvas = canvas(level, &grid(count));
                let id = BenchmarkId::from_parameter(level);
                compose(&mut group, id, canvas, (&data, size(source)), |_| true);
            }
            if let Some(mut peer) = Peer::start(source, count) {
                group.bench_function("libyuv", |bencher| bencher.iter_custom(|frames| peer.run(frames)));
            }
            let mut copies = [vec![0; (CANVAS.0 * CANVAS.1 * 3 / 2) as usize], data[0].clone()];
            let whole = copies[0].clone();
            let mut step = 0;
            group.bench_function("memcpy", |bencher| {
                bencher.iter_custom(|times| {
                    cpu_time(times, || {
                        step += 1;
                        black_box(&mut copies[0]).copy_from_slice(black_box(&whole));
                        for ring in data.chunks(RING) {
                            black_box(&mut copies[1]).copy_from_slice(black_box(&ring[step % RING]));
                        }
                    })
                });
            });
            group.finish();
        }
    }
}

/// What a canvas saves when little changes, and what watermarks add when all does.
fn changes(criterion: &mut Criterion) {
    let source = (640, 360);
    let data = pictures(25, source);
    let mut group = criterion.benchmark_group("changes/25x640x360");
    let level = Level::detect();
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    compose(
        &mut group,
        BenchmarkId::from_parameter("all"),
        canvas(level, &grid(25)),
        (&data, size(source)),
        |_| true,
    );
    compose(
        &mut group,
        BenchmarkId::from_parameter("one"),
        canvas(level, &grid(25)),
        (&data, size(source)),
        |k| k == 12,
    );
    compose(
        &mut group,
        BenchmarkId::from_parameter("none"),
        canvas(level, &grid(25)),
        (&data, size(source)),
        |_| false,
    );
    // 25 watermarks of 120 x 68 are a tenth of the canvas.
    let rgba: Vec<u8> = (0..120 * 68 * 4u32).map(|k| (k % 251).to_le_bytes()[0]).collect();
    let place = |k: u32| (k % 5 * 384 + 11, k / 5 * 216 + 7);
    let overlay = |k| {
        let (left, top) = place(k);
        Arc::new(
            Overlay::from_rgba(&rgba, size((120, 68)), left, top, Colour::default()).expect("whole pixels"),
        )
    };
    let mut marked = canvas(level, &grid(25));
    marked.set_overlays((0..25).map(overlay).collect());
    compose(
        &mut group,
        BenchmarkId::from_parameter("all_watermarked"),
        marked,
        (&data, size(source)),
        |_| true,
    );
    group.finish();
}

criterion_group!(compositor, rows, changes);
criterion_main!(compositor);

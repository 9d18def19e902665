//! FFmpeg as a witness, where it is installed. `None` everywhere means that it is not, and that this was said aloud.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long one call may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a strict decoder said of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Decoded to its end, without a word.
    Clean,
    /// What it wrote.
    Complaint(String),
    /// It did not come to an end within a minute and was stopped.
    Hang,
}

/// The path of a program of `PATH`; says `skipped: …` where there is none.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: no {program} in PATH");
    }
    found
}

/// Decodes all of `file` with every check that stops at the first error.
///
/// # Panics
/// If the program cannot be started.
#[must_use]
pub fn strict_decode(file: &Path) -> Option<Verdict> {
    let mut command = Command::new(find("ffmpeg")?);
    command
        .args([
            "-nostdin",
            "-v",
            "error",
            "-xerror",
            "-err_detect",
            "+crccheck+bitstream+buffer+explode",
            "-i",
        ])
        .arg(file)
        .args(["-map", "0", "-f", "null", "-"]);
    Some(match run(command) {
        None => Verdict::Hang,
        Some(done) if done.success && done.complaints.is_empty() => Verdict::Clean,
        Some(done) => Verdict::Complaint(done.complaints),
    })
}

/// All pictures of the first video stream as planes Y, U, V one after the other, in 4:2:0.
///
/// # Panics
/// If decoding fails or does not end.
#[must_use]
pub fn decode_i420(file: &Path) -> Option<Vec<u8>> {
    decode_video(file, &["-f", "rawvideo", "-pix_fmt", "yuv420p"])
}

/// All pictures of the first video stream as red, green and blue, pixel after pixel, by the matrix and range that the
/// file tells; without them FFmpeg takes BT.601 of limited range.
///
/// # Panics
/// If decoding fails or does not end.
#[must_use]
pub fn decode_rgb(file: &Path) -> Option<Vec<u8>> {
    decode_video(file, &["-f", "rawvideo", "-sws_flags", "accurate_rnd+full_chroma_int", "-pix_fmt", "rgb24"])
}

/// The MD5 of each picture that the first video stream decodes to, in the order shown, whatever their times.
///
/// # Panics
/// If decoding fails or does not end.
#[must_use]
pub fn picture_hashes(file: &Path) -> Option<Vec<String>> {
    let text = String::from_utf8(decode_video(file, &["-f", "framehash", "-hash", "md5"])?);
    let text = text.expect("ffmpeg writes UTF-8");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    Some(rows.filter_map(|row| Some(row.rsplit_once(',')?.1.trim().to_owned())).collect())
}

/// What FFmpeg writes of every picture of the first video stream in the given format.
fn decode_video(file: &Path, format: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new(find("ffmpeg")?);
    command.args(["-nostdin", "-v", "error", "-i"]).arg(file);
    command.args(["-map", "0:v:0", "-vsync", "passthrough"]).args(format).arg("-");
    let done = run(command).expect("ffmpeg came to an end");
    assert!(done.success, "ffmpeg: {}", done.complaints);
    Some(done.output)
}

/// Frames that the first stream decodes to.
///
/// # Panics
/// If ffprobe fails or does not end.
#[must_use]
pub fn count_frames(file: &Path) -> Option<u64> {
    let text =
        probe(file, &["-count_frames", "-select_streams", "0", "-show_entries", "stream=nb_read_frames"])?;
    text.lines().next()?.trim().trim_end_matches(',').parse().ok()
}

/// Packets of each stream with its codec name, in the order of the streams. A stream that belongs to a program is
/// told once.
///
/// # Panics
/// If ffprobe fails or does not end.
#[must_use]
pub fn count_packets(file: &Path) -> Option<Vec<(String, u64)>> {
    let text = probe(file, &["-count_packets", "-show_entries", "stream=index,codec_name,nb_read_packets"])?;
    let mut rows: Vec<(u64, String, u64)> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.trim_start_matches("program,").split(',');
            let index = fields.next()?.parse().ok()?;
            Some((index, fields.next()?.to_owned(), fields.next()?.parse().ok()?))
        })
        .collect();
    rows.sort();
    rows.dedup();
    Some(rows.into_iter().map(|(_, codec, packets)| (codec, packets)).collect())
}

/// What ffprobe says in `csv` without section names, given these options.
///
/// # Panics
/// If ffprobe fails or does not end.
#[must_use]
pub fn probe(file: &Path, options: &[&str]) -> Option<String> {
    let mut command = Command::new(find("ffprobe")?);
    command.args(["-v", "error"]).args(options).args(["-of", "csv=p=0"]).arg(file);
    let done = run(command).expect("ffprobe came to an end");
    assert!(done.success, "ffprobe: {}", done.complaints);
    Some(String::from_utf8(done.output).expect("ffprobe writes UTF-8"))
}

struct Done {
    success: bool,
    output: Vec<u8>,
    complaints: String,
}

/// Runs `command`; `None` if it had to be stopped.
fn run(mut command: Command) -> Option<Done> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program that was found starts");
    // Both pipes are drained while it runs, or it would wait for us.
    let drain = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        })
    };
    let output = drain(Box::new(child.stdout.take().expect("standard output is a pipe")));
    let complaints = drain(Box::new(child.stderr.take().expect("standard error is a pipe")));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            break Some(status);
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill(); // it may have ended just now
            child.wait().expect("the child is ours");
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let output = output.join().expect("the reader does not panic").expect("a pipe can be read");
    let complaints = complaints.join().expect("the reader does not panic").expect("a pipe can be read");
    let complaints = String::from_utf8_lossy(&complaints).into_owned();
    status.map(|status| Done { success: status.success(), output, complaints })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_exist_is_skipped() {
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    #[test]
    fn a_damaged_file_is_complained_about() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("noise.h264");
        std::fs::write(&file, [0, 0, 0, 1, 0x67, 0xFF, 0xFF, 0, 0, 1, 0x65, 0x12]).unwrap();
        let Some(verdict) = strict_decode(&file) else { return };
        assert!(matches!(verdict, Verdict::Complaint(_)), "{verdict:?}");
    }
}

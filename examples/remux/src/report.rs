use std::io::{self, IsTerminal, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use recorder_types::RoomTime;

/// What was written and what was left out, with a progress bar meanwhile.
pub(crate) struct Report {
    bar: ProgressBar,
    rows: Vec<Vec<String>>,
    lost: bool,
}

impl Report {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = if quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        };
        let head = ["file", "duration", "bytes", "content"].map(str::to_owned).to_vec();
        Self { bar, rows: vec![head], lost: false }
    }

    /// Begins a pass over so many bytes.
    pub(crate) fn pass(&self, what: &'static str, bytes: u64) {
        self.bar.reset();
        self.bar.set_message(what);
        self.bar.set_length(bytes);
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Something is not in the output that is in the input.
    pub(crate) fn lost(&mut self, what: &str) {
        self.lost = true;
        self.warn(what);
    }

    pub(crate) fn warn(&mut self, what: &str) {
        self.bar.suspend(|| eprintln!("warning: {what}"));
    }

    pub(crate) fn file(&mut self, path: &Path, duration: RoomTime, bytes: u64, content: String) {
        self.rows.push(vec![path.display().to_string(), told(duration), bytes.to_string(), content]);
    }

    pub(crate) fn is_whole(&self) -> bool {
        !self.lost
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// The table.
    pub(crate) fn print(&self) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = io::stdout().lock();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', 2 + width.saturating_sub(cell.chars().count())));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// `h:mm:ss.mmm`, to the nearest millisecond.
fn told(duration: RoomTime) -> String {
    let millis = duration.round_to_millis().max(0);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

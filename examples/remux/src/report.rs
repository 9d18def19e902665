use std::io::{self, IsTerminal};
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
        self.rows.push(vec![
            path.display().to_string(),
            recorder_terminal::duration(duration),
            bytes.to_string(),
            content,
        ]);
    }

    /// What was told to be in `from` is in `to` now.
    pub(crate) fn moved(&mut self, from: &Path, to: &Path) {
        let from = from.display().to_string();
        for cell in self.rows.iter_mut().filter_map(|row| row.first_mut()) {
            if let Some(rest) = cell.strip_prefix(&from) {
                *cell = format!("{}{rest}", to.display());
            }
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        !self.lost
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// The table.
    pub(crate) fn print(&self) -> io::Result<()> {
        recorder_terminal::write_table(&mut io::stdout().lock(), "", &self.rows)
    }
}

//! What the programs print: tables, durations and sizes.
//!
//! ```
//! use recorder_terminal::{duration, size, write_table};
//! use recorder_types::RoomTime;
//!
//! let mut out = Vec::new();
//! let row = [duration(RoomTime::from_secs(90)), size(1_250_000)];
//! write_table(&mut out, "  ", &[vec!["duration".into(), "size".into()], row.to_vec()]).unwrap();
//! assert_eq!(String::from_utf8(out).unwrap(), "  duration     size\n  0:01:30.000  1.2 MB\n");
//! ```

use std::io::{self, Write};

use recorder_types::RoomTime;

/// Writes rows in columns, two spaces apart and as wide as their longest cell, each row behind `indent`. A row may have
/// fewer cells than others.
///
/// # Errors
/// Those of `out`.
pub fn write_table(out: &mut impl Write, indent: &str, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = indent.to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', 2 + width.saturating_sub(cell.chars().count())));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `h:mm:ss.mmm`, to the nearest millisecond; zero for what is negative.
#[must_use]
pub fn duration(time: RoomTime) -> String {
    let millis = time.round_to_millis().max(0);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Bytes with a decimal unit, rounded down.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{}.{} kB", bytes / 1000, bytes % 1000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
        _ => format!("{}.{:02} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 10_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_well() {
        assert_eq!(duration(RoomTime::from_millis(3_723_045)), "1:02:03.045");
        assert_eq!(duration(RoomTime::from_nanos(3_723_045_499_999)), "1:02:03.045");
        for (bytes, text) in
            [(0, "0.0 kB"), (188_000, "188.0 kB"), (1_250_000, "1.2 MB"), (2_147_483_648, "2.14 GB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}

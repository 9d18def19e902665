//! Files that hold the bytes a test expects.

use std::path::Path;

/// Compares `actual` with the file `path`. With `UPDATE_GOLDEN=1` in the environment the file is written instead.
///
/// # Panics
/// If they differ (the message has the first place where they do), or the file cannot be read or written.
#[track_caller]
pub fn assert_golden(path: &Path, actual: &[u8]) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    compare(path, actual, update);
}

#[track_caller]
fn compare(path: &Path, actual: &[u8], update: bool) {
    let shown = path.display();
    if update {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        }
        std::fs::write(path, actual).unwrap_or_else(|error| panic!("{shown}: {error}"));
        println!("rewritten: {shown}");
        return;
    }
    let expected =
        std::fs::read(path).unwrap_or_else(|error| panic!("{shown}: {error} (UPDATE_GOLDEN=1 writes it)"));
    if expected == actual {
        return;
    }
    let at = expected.iter().zip(actual).take_while(|(a, b)| a == b).count();
    let line = 1 + expected[..at].iter().filter(|&&b| b == b'\n').count();
    let around = |bytes: &[u8]| {
        let from = at.saturating_sub(20).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..(at + 60).min(bytes.len())]).into_owned()
    };
    panic!(
        "{shown} differs at byte {at}, line {line} ({} bytes expected, {} bytes made; UPDATE_GOLDEN=1 rewrites it)\n\
         expected: {:?}\n    made: {:?}",
        expected.len(),
        actual.len(),
        around(&expected),
        around(actual),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_expected_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("golden/list.m3u8");
        compare(&file, b"#EXTM3U\n1\n", true);
        compare(&file, b"#EXTM3U\n1\n", false);
    }

    #[test]
    #[should_panic(expected = "differs at byte 8, line 2")]
    fn a_difference_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list.m3u8");
        std::fs::write(&file, b"#EXTM3U\n1\n").unwrap();
        compare(&file, b"#EXTM3U\n2\n", false);
    }
}

//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, IoSlice, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir, TempPath};

use crate::error::Failure;
use crate::place::Place;
use crate::report::Report;

/// Small writes are gathered up to this; larger ones go past it without a copy.
const BUFFER: usize = 64 << 10;

/// A file under a name that is not its own yet. Gone with the value.
pub(crate) struct Unnamed {
    file: BufWriter<File>,
    path: TempPath,
}

impl Write for Unnamed {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write(data)
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        self.file.write_vectored(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The folder that `out` lies in.
fn parent(out: &Path) -> &Path {
    match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether both are the same file.
pub(crate) fn is_same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).ok();
    whole(a).is_some_and(|a| whole(b) == Some(a))
}

/// A folder beside `out`, which is gone with the value.
pub(crate) fn staging(out: &Path) -> Result<TempDir, Failure> {
    let folder = parent(out);
    fs::create_dir_all(folder).map_err(Failure::io(folder))?;
    Builder::new().prefix(".remux-").tempdir_in(folder).map_err(Failure::io(folder))
}

/// A new file in the folder of `out`.
pub(crate) fn begin(out: &Path) -> Result<Unnamed, Failure> {
    let folder = parent(out);
    fs::create_dir_all(folder).map_err(Failure::io(folder))?;
    let mut builder = Builder::new();
    builder.prefix(".remux-").suffix(".part");
    // As any new file, and not only for the owner.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(Failure::io(out))?;
    let (file, path) = file.into_parts();
    Ok(Unnamed { file: BufWriter::with_capacity(BUFFER, file), path })
}

/// Gives the files their names: `out` for a single one, else `_1`, `_2` and so on before the ending.
pub(crate) fn name(files: Vec<Unnamed>, out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let single = files.len() == 1;
    let mut paths = Vec::with_capacity(files.len());
    for (number, file) in (1..).zip(files) {
        let path = if single { out.to_owned() } else { numbered(out, number) };
        let Unnamed { file, path: temporary } = file;
        let file = file.into_inner().map_err(|error| Failure::io(&path)(error.into_error()))?;
        file.sync_all().map_err(Failure::io(&path))?;
        temporary.persist(&path).map_err(|error| Failure::io(&path)(error.error))?;
        paths.push(path);
    }
    Ok(paths)
}

/// Brings all files of `folder` to where `out` lies: playlists last, so that what they name is there.
pub(crate) fn upload(folder: &Path, out: &Place, report: &mut Report) -> Result<(), Failure> {
    let mut names = Vec::new();
    collect(folder, "", &mut names).map_err(Failure::io(folder))?;
    names.sort_by_key(|(name, _)| name.ends_with(".m3u8"));
    report.pass("uploading", names.iter().map(|(_, len)| len).sum());
    for (name, len) in &names {
        let place = out.beside(name);
        out.upload(name, &folder.join(name)).map_err(Failure::io(place.path()))?;
        report.advance(*len);
    }
    report.moved(folder, out.path().parent().unwrap_or(Path::new("")));
    Ok(())
}

/// The files in a folder and the folders in it, with their sizes.
fn collect(folder: &Path, prefix: &str, names: &mut Vec<(String, u64)>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let data = entry.metadata()?;
        if data.is_dir() {
            collect(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push((name, data.len()));
        }
    }
    Ok(())
}

fn numbered(out: &Path, number: u32) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let name = match out.extension() {
        Some(ending) => format!("{stem}_{number}.{}", ending.to_string_lossy()),
        None => format!("{stem}_{number}"),
    };
    out.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_files_are_numbered_and_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/a.b.mp4");
        let names = |files: usize| -> Vec<_> {
            let files = (0..files).map(|_| begin(&out).unwrap()).collect();
            let paths = name(files, &out).unwrap();
            paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(1), ["a.b.mp4"]);
        assert_eq!(names(2), ["a.b_1.mp4", "a.b_2.mp4"]);
        drop(begin(&out).unwrap());
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 3, "nothing else is left");
    }
}

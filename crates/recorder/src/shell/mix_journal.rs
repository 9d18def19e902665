//! What the journal of a task holds of the mix of its room.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use recorder_compositor::{Bitmap, Font};
use recorder_layout::LayoutParams;
use recorder_types::{RoomTime, Size};
use serde::{Deserialize, Serialize};

use crate::mix::{ImageSource, Watermark};
use crate::task::MixOptions;
use crate::timeline::{MarkLine, MixLine};

/// Bytes of a picture in one record, before Base64.
const PART_BYTES: usize = 512 << 10;
/// Level of compression: a picture is packed on the thread of its task.
const LEVEL: u8 = 1;
/// The longest font file that is read again.
const MAX_FONT_BYTES: u64 = 64 << 20;

/// [`MixOptions`] as they were at the start, or when the task went on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MixRecord {
    mix: MixLine,
    pixels: Vec<Option<PictureRef>>,
    /// The file of the font; `None` for the bundled one.
    font: Option<String>,
    /// Nanoseconds.
    shed_after: Option<i64>,
}

/// Another layout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LayoutRecord {
    layout: LayoutParams,
    watermarks: Vec<MarkLine>,
    pixels: Vec<Option<PictureRef>>,
}

/// A picture that was given as pixels, in the size in which it is shown.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct PictureRef {
    number: u32,
    width: u32,
    height: u32,
}

/// A part of a picture: its bytes are RGBA, deflated, in Base64. The parts of a picture come in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PartRecord {
    number: u32,
    part: String,
}

impl MixRecord {
    pub(super) fn new(mix: &MixOptions, pixels: Vec<Option<PictureRef>>) -> Self {
        let font = mix.font_file.as_deref().and_then(|file| {
            let whole = std::path::absolute(file).ok().and_then(|path| path.to_str().map(str::to_owned));
            if whole.is_none() {
                tracing::warn!(
                    "the path of the font is not Unicode: after a crash texts are in the bundled font"
                );
            }
            whole
        });
        Self { mix: MixLine::from(mix), pixels, font, shed_after: mix.shed_after.map(RoomTime::nanos) }
    }
}

impl LayoutRecord {
    pub(super) fn new(
        layout: &LayoutParams,
        watermarks: &[Watermark],
        pixels: Vec<Option<PictureRef>>,
    ) -> Self {
        let watermarks = watermarks.iter().map(MarkLine::from).collect();
        Self { layout: layout.clone(), watermarks, pixels }
    }
}

/// The pictures of the layout as it is, which need not be written again.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    next: u32,
    written: Vec<(Arc<Bitmap>, Size, PictureRef)>,
}

impl Pictures {
    /// Gives the pictures of `watermarks`, and the parts of those that are not written to `write`.
    pub(super) fn write<E>(
        &mut self,
        watermarks: &[Watermark],
        mut write: impl FnMut(PartRecord) -> Result<(), E>,
    ) -> Result<Vec<Option<PictureRef>>, E> {
        let mut all = Vec::with_capacity(watermarks.len());
        let mut written: Vec<(Arc<Bitmap>, Size, PictureRef)> = Vec::new();
        for mark in watermarks {
            let Watermark::Image { image: ImageSource::Given(bitmap), rect } = mark else {
                all.push(None);
                continue;
            };
            let size = rect.size();
            let is_it = |(other, as_large, _): &&(Arc<Bitmap>, Size, PictureRef)| {
                Arc::ptr_eq(other, bitmap) && *as_large == size
            };
            let known = written.iter().chain(&self.written).find(is_it).map(|(_, _, picture)| *picture);
            let picture = match known {
                Some(picture) => picture,
                None => {
                    // A box of the canvas, which is no larger than a bitmap may be.
                    let Ok(shown) = bitmap.scaled(size) else {
                        all.push(None);
                        continue;
                    };
                    let number = self.next;
                    self.next = self.next.wrapping_add(1);
                    for part in compress_to_vec(shown.rgba(), LEVEL).chunks(PART_BYTES) {
                        write(PartRecord { number, part: STANDARD_NO_PAD.encode(part) })?;
                    }
                    PictureRef { number, width: size.width(), height: size.height() }
                }
            };
            written.push((Arc::clone(bitmap), size, picture));
            all.push(Some(picture));
        }
        self.written = written;
        Ok(all)
    }
}

/// What the journal tells of the mix of a task whose process has died.
#[derive(Debug, Default)]
pub(super) struct PastMix {
    last: Option<Box<MixRecord>>,
    /// By number, deflated: those of the layout that was the last, and newer ones.
    pictures: BTreeMap<u32, Vec<u8>>,
    next: u32,
}

impl PastMix {
    /// Numbers that come next are of no picture that is there.
    pub(super) fn pictures(&self) -> Pictures {
        Pictures { next: self.next, written: Vec::new() }
    }

    pub(super) fn part(&mut self, PartRecord { number, part }: PartRecord) {
        self.next = self.next.max(number.saturating_add(1));
        match STANDARD_NO_PAD.decode(part) {
            Ok(bytes) => self.pictures.entry(number).or_default().extend(bytes),
            // The picture does not unpack then.
            Err(error) => tracing::warn!(%error, "a part of a picture in the journal cannot be read"),
        }
    }

    pub(super) fn mix(&mut self, record: Box<MixRecord>) {
        self.forget_all_but(&record.pixels);
        self.last = Some(record);
    }

    pub(super) fn layout(&mut self, record: LayoutRecord) {
        self.forget_all_but(&record.pixels);
        if let Some(last) = &mut self.last {
            last.mix.layout = record.layout;
            last.mix.watermarks = record.watermarks;
            last.pixels = record.pixels;
        }
    }

    fn forget_all_but(&mut self, shown: &[Option<PictureRef>]) {
        self.pictures.retain(|number, _| shown.iter().flatten().any(|picture| picture.number == *number));
    }

    /// How the room was mixed last. Reads the font. `None` if nothing is told of it, or not in a way that this version
    /// knows; a watermark or a font that is lost is left out and logged.
    pub(super) fn options(&self) -> Option<MixOptions> {
        let record = self.last.as_ref()?;
        let told = record.mix.options().inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "the journal's mix cannot be read");
        });
        let mut options = told.ok()?;
        let marks = record.mix.watermarks.iter().enumerate().filter_map(|(index, mark)| {
            let picture = record.pixels.get(index).copied().flatten();
            let pixels = picture.and_then(|picture| self.picture(picture)).map(Arc::new);
            mark.watermark(index, pixels)
                .inspect_err(|error| {
                    tracing::error!(error = error as &dyn std::error::Error, "a watermark is left out");
                })
                .ok()
        });
        options.watermarks = marks.collect();
        options.shed_after = record.shed_after.map(RoomTime::from_nanos);
        if let Some(file) = &record.font {
            options.font_file = Some(file.into());
            match read_font(Path::new(file)) {
                Ok(font) => options.font = Arc::new(font),
                Err(error) => tracing::error!(
                    file,
                    error = &*error,
                    "the font cannot be read: texts are in the bundled one"
                ),
            }
        }
        Some(options)
    }

    fn picture(&self, PictureRef { number, width, height }: PictureRef) -> Option<Bitmap> {
        let size = Size::new(width, height)?;
        let bytes = usize::try_from(u64::from(width) * u64::from(height) * 4).ok()?;
        let rgba = decompress_to_vec_with_limit(self.pictures.get(&number)?, bytes).ok()?;
        Bitmap::new(size, rgba).ok()
    }
}

fn read_font(file: &Path) -> Result<Font, Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    if std::fs::File::open(file)?.take(MAX_FONT_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_FONT_BYTES {
        return Err(format!("it is longer than {MAX_FONT_BYTES} bytes").into());
    }
    Ok(Font::from_bytes(bytes)?)
}

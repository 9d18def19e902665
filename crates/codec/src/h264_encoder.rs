use bytes::Bytes;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, RateControlMode,
    UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use recorder_types::{RoomTime, Sample, Size, Timestamp};

use crate::{
    Codec, CodecError, ContentKind, EncodedPicture, H264EncoderOptions, I420, LibraryError, PictureKind,
    VideoEncoder, YuvMatrix, openh264_raw,
};

/// H.264 Constrained Baseline through OpenH264: one access unit for each picture, at once, nothing reordered.
///
/// It runs on the caller's thread alone, so the same pictures give the same bytes on machines with the same
/// instruction set. No picture is ever skipped. Pictures may change in size; the first of a new size is a key
/// frame.
///
/// Where `nasm` is on the path of the build, the library's assembly is used; without it, encoding takes about 2.4
/// times as long.
pub struct H264Encoder {
    inner: Encoder,
    /// Size and time of the last picture.
    last: Option<(Size, RoomTime)>,
    /// The time of the first picture, from which the library counts.
    first: Option<RoomTime>,
}

impl H264Encoder {
    /// An encoder; the size comes with the pictures.
    ///
    /// # Errors
    /// [`CodecError::PictureRate`], [`CodecError::BitRate`] for zero or above `i32::MAX`;
    /// [`CodecError::Library`].
    pub fn new(options: &H264EncoderOptions) -> Result<Self, CodecError> {
        let bits_per_second = options.bits_per_second;
        if bits_per_second == 0 || i32::try_from(bits_per_second).is_err() {
            return Err(CodecError::BitRate { codec: Codec::H264, bits_per_second });
        }
        if options.pictures_per_second == 0 {
            return Err(CodecError::PictureRate);
        }
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(bits_per_second))
            .rate_control_mode(RateControlMode::Bitrate)
            .max_frame_rate(FrameRate::from_hz(f32::from(options.pictures_per_second)))
            .intra_frame_period(IntraFramePeriod::from_num_frames(options.pictures_per_key.get()))
            .profile(Profile::Baseline)
            // Skipping gives empty access units; several threads give other bytes.
            .skip_frames(false)
            .num_threads(1)
            // The library refuses both for screens, with a warning.
            .adaptive_quantization(options.content == ContentKind::Camera)
            .background_detection(options.content == ContentKind::Camera)
            .usage_type(match options.content {
                ContentKind::Camera => UsageType::CameraVideoRealTime,
                ContentKind::Screen => UsageType::ScreenContentRealTime,
            })
            .vui(match options.matrix {
                YuvMatrix::Bt601 => VuiConfig::bt601(),
                YuvMatrix::Bt709 => VuiConfig::bt709(),
            });
        let mut inner = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(library)?;
        openh264_raw::silence(&mut inner);
        Ok(Self { inner, last: None, first: None })
    }
}

impl VideoEncoder for H264Encoder {
    fn encode(
        &mut self,
        picture: &I420<'_>,
        pts: Timestamp,
        kind: PictureKind,
        out: &mut Vec<EncodedPicture>,
    ) -> Result<(), CodecError> {
        let size = picture.size();
        let slices = slices(picture).ok_or(CodecError::PictureSize { codec: Codec::H264, size })?;
        let at = pts.to_room_time().ok_or(CodecError::PictureTime)?;
        if self.last.is_some_and(|(_, last)| at <= last) {
            return Err(CodecError::PictureTime);
        }
        let first = *self.first.get_or_insert(at);
        let since = at.saturating_sub(first).round_to_millis();
        let since =
            openh264::Timestamp::from_millis(u64::try_from(since).map_err(|_| CodecError::PictureTime)?);
        // Before its first picture the library has nothing to force; that picture and one of a new size are key
        // frames by themselves.
        if kind == PictureKind::Key && self.last.is_some_and(|(last, _)| last == size) {
            self.inner.force_intra_frame();
        }
        let stream = self.inner.encode_at(&slices, since).map_err(library)?;
        let is_key = matches!(stream.frame_type(), FrameType::IDR);
        let data = Bytes::from(stream.to_vec());
        if data.is_empty() {
            return Err(library("an empty access unit"));
        }
        self.last = Some((size, at));
        out.push(EncodedPicture { sample: Sample::new(pts, data), is_key });
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<EncodedPicture>) -> Result<(), CodecError> {
        Ok(()) // nothing is held back
    }
}

impl std::fmt::Debug for H264Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H264Encoder").field("last", &self.last).finish_non_exhaustive()
    }
}

/// The picture as the library takes it; `None` for odd sizes and sizes outside of 16x16 to 3840x2160 (either way
/// round), which it cannot encode.
fn slices<'a>(picture: &I420<'a>) -> Option<YUVSlices<'a>> {
    let (width, height) = (picture.size().width(), picture.size().height());
    let (longer, shorter) = (width.max(height), width.min(height));
    if longer > 3840 || !(16..=2160).contains(&shorter) || width % 2 != 0 || height % 2 != 0 {
        return None;
    }
    let (width, height) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    let [y, u, v] = picture.planes();
    // Strides travel as `i32`, and lengths have to be exact or the library's wrapper panics.
    i32::try_from(y.stride.max(u.stride)).ok()?;
    let rows = |data: &'a [u8], stride: usize, rows: usize| data.get(..stride.checked_mul(rows)?);
    let planes = (
        rows(y.data, y.stride, height)?,
        rows(u.data, u.stride, height / 2)?,
        rows(v.data, v.stride, height / 2)?,
    );
    Some(YUVSlices::new(planes, (width, height), (y.stride, u.stride, v.stride)))
}

pub(crate) fn library(error: impl std::fmt::Display) -> CodecError {
    CodecError::Library { codec: Codec::H264, source: LibraryError::new(error) }
}

use recorder_api::{FillType, Layout, MixSettings, PixelRect, WaterMark};
use recorder_compositor::{Position, Rect, TextStyle, TimeZone};
use recorder_mixer::{AudioOptions, Fill, VideoOptions};

use super::{ImageSource, Watermark};
use crate::{InvalidTask, MixOptions};

impl MixOptions {
    /// What the checked parameters of a request ask for. Images are named, not fetched.
    ///
    /// # Errors
    /// [`InvalidTask::Watermark`].
    pub fn from_settings(settings: &MixSettings, fill: FillType) -> Result<Self, InvalidTask> {
        let video = VideoOptions::default()
            .with_size(settings.canvas)
            .with_fps(settings.fps)
            .with_bits_per_second(settings.video_bit_rate)
            .with_gop_seconds(settings.gop_seconds);
        let audio = AudioOptions::default()
            .with_sample_rate(settings.sample_rate.hz())
            .with_channels(settings.channels)
            .with_bits_per_second(settings.audio_bit_rate);
        let fill = match fill {
            FillType::LastPicture => Fill::LastPicture,
            FillType::Black => Fill::Black,
        };
        Ok(Self::default()
            .with_video(video)
            .with_audio(audio)
            .with_fill(fill)
            .with_layout(settings.layout.params.clone())
            .with_watermarks(watermarks(&settings.layout)?))
    }
}

/// The watermarks of a layout. Those without a pixel are left out. All are written in the font of the task, whatever font
/// they name.
///
/// # Errors
/// [`InvalidTask::Watermark`].
pub fn watermarks(layout: &Layout) -> Result<Vec<Watermark>, InvalidTask> {
    let marks = layout.watermarks.iter().map(|mark| match mark {
        WaterMark::Image { url, rect } => {
            Ok(place(*rect).map(|rect| Watermark::Image { image: ImageSource::Url(url.clone()), rect }))
        }
        WaterMark::Text { chars, rect, font_size, colour, background, .. } => {
            let style = TextStyle::default()
                .with_font_size(*font_size)
                .with_colour(*colour)
                .with_background(*background);
            Ok(place(*rect).map(|rect| Watermark::Text { text: chars.clone(), rect, style }))
        }
        WaterMark::Timestamp { position, zone_hours, .. } => {
            let code = u8::try_from(position.code()).ok();
            let position = code.and_then(Position::from_code).ok_or(InvalidTask::Watermark)?;
            let zone = TimeZone::new(*zone_hours).ok_or(InvalidTask::Watermark)?;
            Ok(Some(Watermark::Timestamp { position, zone, style: TextStyle::default() }))
        }
    });
    Ok(marks.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn place(rect: PixelRect) -> Option<Rect> {
    let size = recorder_types::Size::new(rect.width, rect.height)?;
    Rect::new(rect.left, rect.top, size)
}

pub use recorder_layout::MixLayout;

use super::wire;

wire! {
    /// Picture and sound of a mixed recording. An object that is given is given whole.
    ///
    /// # Specification
    /// `trtc-api.md` section 5.
    MixTranscodeParams {
        /// Default 360 x 640, 15 per second, 550 kbit/s, a key frame each 10 s.
        video_params: VideoParams,
        /// Default 48 kHz, stereo, 64 kbit/s.
        audio_params: AudioParams,
    }

    /// Picture of a mixed recording.
    VideoParams {
        /// Pixels, at most 1920, and with the height at most 1920 x 1080.
        width: i64,
        /// Pixels, as the width.
        height: i64,
        /// Pictures a second, 1 to 60.
        fps: i64,
        /// Bits a second, 64000 to 8192000.
        bit_rate: i64,
        /// Seconds between key frames.
        gop: i64,
    }

    /// Sound of a mixed recording.
    AudioParams {
        /// 1 48000 Hz, 2 44100 Hz, 3 16000 Hz.
        sample_rate: i64,
        /// 1 mono, 2 stereo.
        channel: i64,
        /// Bits a second, 32000 to 128000.
        bit_rate: i64,
    }

    /// Layout of a mixed recording: that of `recorder-layout`, and watermarks.
    ///
    /// # Specification
    /// `trtc-api.md` section 6.1.
    MixLayoutParams {
        /// Required. 1 floating, 2 screen sharing, 3 grid, 4 custom.
        mix_layout_mode: i64,
        /// Windows of mode 4, at most 25.
        mix_layout_list: Vec<MixLayout>,
        /// `#RRGGBB`.
        back_ground_color: String,
        /// User of the large window in modes 1 and 2.
        max_resolution_user_id: String,
        /// Stream of that user: 0 main, 1 auxiliary.
        media_id: i64,
        /// Image of the canvas.
        background_image_url: String,
        /// 1: placeholder in a window whose user publishes nothing.
        place_holder_mode: i64,
        /// Fitting of the background image, 0 to 3.
        background_image_render_mode: i64,
        /// Placeholder image of windows.
        default_sub_background_image: String,
        /// At most 25.
        water_mark_list: Vec<WaterMark>,
        /// Fitting inside the windows of modes 1 to 3, 0 to 3.
        render_mode: i64,
        /// Mode 2: 1 puts the large window on the right.
        max_resolution_user_align: i64,
        /// Users without video get no window.
        pure_audio_disable_layout: bool,
    }

    /// A watermark: a type, and the one object for it.
    ///
    /// # Specification
    /// `trtc-api.md` section 6.4.
    WaterMark {
        /// 0 image (default), 1 text, 2 timestamp.
        water_mark_type: i64,
        /// For type 0.
        water_mark_image: WaterMarkImage,
        /// For type 1.
        water_mark_char: WaterMarkChar,
        /// For type 2.
        water_mark_timestamp: WaterMarkTimestamp,
    }

    /// An image.
    WaterMarkImage {
        /// Required.
        water_mark_url: String,
        /// Required. Pixels, 0 to 2560.
        top: i64,
        /// Required. Pixels, 0 to 2560.
        left: i64,
        /// Required. Pixels, 0 to 2560.
        width: i64,
        /// Required. Pixels, 0 to 2560.
        height: i64,
    }

    /// A text.
    WaterMarkChar {
        /// Required. Pixels.
        top: i64,
        /// Required. Pixels.
        left: i64,
        /// Required. Pixels.
        width: i64,
        /// Required. Pixels.
        height: i64,
        /// Required. The text.
        chars: String,
        /// Pixels, default 14.
        font_size: i64,
        /// `#RRGGBB` or `0xRRGGBB`, default white.
        font_color: String,
        /// As the font's; transparent by default.
        back_ground_color: String,
        /// `Tencent` (default) or `SourceHanSans`.
        font: String,
    }

    /// A clock.
    WaterMarkTimestamp {
        /// Required. 0 top left, 1 top right, 2 bottom left, 3 bottom right, 4 top centre, 5 bottom centre, 6 centre.
        pos: i64,
        /// Hours east of UTC, default 8.
        time_zone: i64,
        /// As in [`WaterMarkChar`].
        font: String,
    }
}

use std::num::NonZeroU32;

/// What the pictures show, which decides how they are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentKind {
    /// A camera, or a room of them.
    #[default]
    Camera,
    /// A screen. Sharper text for about six times the work.
    Screen,
}

/// The matrix between RGB and the pictures, told in the stream; always of limited range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YuvMatrix {
    /// ITU-R BT.601, 525 lines: cameras of browsers and phones below high definition.
    Bt601,
    /// ITU-R BT.709.
    #[default]
    Bt709,
}

/// How an H.264 encoder encodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct H264EncoderOptions {
    /// Bit/s aimed at. Default 550000.
    pub bits_per_second: u32,
    /// Pictures a second at most, for the rate control; the pictures' own times may be irregular. Default 15.
    pub pictures_per_second: u16,
    /// Pictures from one key frame to the next. Default 150.
    pub pictures_per_key: NonZeroU32,
    /// Default [`ContentKind::Camera`].
    pub content: ContentKind,
    /// Default [`YuvMatrix::Bt709`].
    pub matrix: YuvMatrix,
}

impl Default for H264EncoderOptions {
    fn default() -> Self {
        Self {
            bits_per_second: 550_000,
            pictures_per_second: 15,
            pictures_per_key: NonZeroU32::new(150).expect("150 is not zero"),
            content: ContentKind::Camera,
            matrix: YuvMatrix::Bt709,
        }
    }
}

impl H264EncoderOptions {
    /// With [`Self::bits_per_second`].
    #[must_use]
    pub const fn with_bits_per_second(mut self, bits_per_second: u32) -> Self {
        self.bits_per_second = bits_per_second;
        self
    }

    /// With [`Self::pictures_per_second`].
    #[must_use]
    pub const fn with_pictures_per_second(mut self, pictures_per_second: u16) -> Self {
        self.pictures_per_second = pictures_per_second;
        self
    }

    /// With [`Self::pictures_per_key`].
    #[must_use]
    pub const fn with_pictures_per_key(mut self, pictures_per_key: NonZeroU32) -> Self {
        self.pictures_per_key = pictures_per_key;
        self
    }

    /// With so many seconds from one key frame to the next, at [`Self::pictures_per_second`] as set so far; at most
    /// `u32::MAX` pictures, at least one.
    #[must_use]
    pub const fn with_seconds_per_key(self, seconds: NonZeroU32) -> Self {
        // u16 to u32 loses nothing; `From` is not const.
        let pictures = seconds.get().saturating_mul(self.pictures_per_second as u32);
        match NonZeroU32::new(pictures) {
            Some(pictures) => self.with_pictures_per_key(pictures),
            None => self.with_pictures_per_key(NonZeroU32::MIN),
        }
    }

    /// With [`Self::content`].
    #[must_use]
    pub const fn with_content(mut self, content: ContentKind) -> Self {
        self.content = content;
        self
    }

    /// With [`Self::matrix`].
    #[must_use]
    pub const fn with_matrix(mut self, matrix: YuvMatrix) -> Self {
        self.matrix = matrix;
        self
    }
}

use std::path::PathBuf;

use recorder_compositor::{ComposeError, TextError};
use recorder_layout::LayoutError;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreviewError {
    /// The name of the output says no format.
    #[error("{}: the output has to end with .svg or .png", path.display())]
    Ending { path: PathBuf },
    /// Neither a template's name nor a file.
    #[error("--layout {name}: use grid, floating, screen-share or a file with MixLayoutParams")]
    Layout {
        name: String,
        #[source]
        source: std::io::Error,
    },
    /// A file that is no layout.
    #[error("--layout {name}: not MixLayoutParams of the recording API")]
    Params {
        name: String,
        #[source]
        source: serde_json::Error,
    },
    /// An option that the layout does not take.
    #[error("{option} is for {with}; here the layout is {layout}")]
    Useless { option: &'static str, with: &'static str, layout: String },
    /// The layout does not take what is asked of it.
    #[error(transparent)]
    Arrange(#[from] LayoutError),
    /// The picture is too large to draw.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// As before, for a text in it.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The encoder of PNG failed.
    #[error("PNG")]
    Png(#[from] png::EncodingError),
    /// The environment: no folder, no room, no permission.
    #[error("{}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

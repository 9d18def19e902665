//! What is drawn over a mixed recording, and what the parameters of the recording API make of one (feature `api`).

mod error;
#[cfg(feature = "api")]
mod settings;
mod watermark;

pub use error::WatermarkError;
#[cfg(feature = "api")]
pub use settings::watermarks;
pub use watermark::{ImageSource, Watermark};

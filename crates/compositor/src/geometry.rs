// Windows are computed by `recorder-layout`; the compositor speaks of them in the same types.
pub(crate) use recorder_layout::PlaneRect;
pub use recorder_layout::{Placement, Rect, RenderMode};

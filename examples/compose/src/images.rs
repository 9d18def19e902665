//! The images that a layout names.

use std::collections::BTreeMap;
use std::sync::Arc;

use recorder::MixOptions;
use recorder::callback::{AddressPolicy, FetchError, Fetcher, FetcherOptions};
use recorder::compositor::Bitmap;
use recorder::layout::{ImageUrl, LayoutParams};
use recorder::mix::{ImageSource, Watermark};
use recorder::types::with_causes;

/// Fetches images, each once.
pub(crate) struct Images {
    fetcher: Fetcher,
    fetched: BTreeMap<ImageUrl, Option<Arc<Bitmap>>>,
    /// How many could not be had.
    pub(crate) failed: usize,
}

impl Images {
    pub(crate) fn new(policy: AddressPolicy) -> Result<Self, FetchError> {
        let fetcher = Fetcher::new(FetcherOptions::default().with_policy(policy))?;
        Ok(Self { fetcher, fetched: BTreeMap::new(), failed: 0 })
    }

    /// The image at `url`; `None`, which is told, if it cannot be had.
    pub(crate) async fn get(&mut self, url: &ImageUrl) -> Option<Arc<Bitmap>> {
        if let Some(known) = self.fetched.get(url) {
            return known.clone();
        }
        let image = match self.fetcher.fetch(url.as_str()).await {
            Ok(file) => Bitmap::decode(&file).map_err(|error| with_causes(&error)),
            Err(error) => Err(with_causes(&error)),
        };
        let image = match image {
            Ok(image) => Some(Arc::new(image)),
            Err(error) => {
                eprintln!("error: {url}: {error}; it is not shown");
                self.failed += 1;
                None
            }
        };
        self.fetched.insert(url.clone(), image.clone());
        image
    }

    /// All images of a layout that stays as it is.
    pub(crate) async fn all_of(&mut self, options: &MixOptions) -> BTreeMap<ImageUrl, Arc<Bitmap>> {
        let mut images = BTreeMap::new();
        for url in urls(&options.layout, &options.watermarks) {
            if let Some(image) = self.get(&url).await {
                images.insert(url, image);
            }
        }
        images
    }
}

fn urls(layout: &LayoutParams, marks: &[Watermark]) -> Vec<ImageUrl> {
    let marks = marks.iter().filter_map(|mark| match mark {
        Watermark::Image { image: ImageSource::Url(url), .. } => Some(url),
        _ => None,
    });
    layout.image_urls().chain(marks).cloned().collect()
}

#[cfg(feature = "http")]
use std::sync::Arc;

#[cfg(feature = "http")]
use recorder_compositor::Bitmap;
use recorder_layout::ImageUrl;
use tokio::sync::mpsc;

use super::options::RecordingOptions;
use crate::task::RoomEvent;

/// Fetches and decodes the images of a mixed picture, beside the task's thread.
pub(super) struct Images {
    #[cfg(feature = "http")]
    fetcher: Option<recorder_callback::Fetcher>,
    answers: mpsc::UnboundedSender<RoomEvent>,
    told: bool,
}

impl Images {
    pub(super) fn new(options: &RecordingOptions, answers: mpsc::UnboundedSender<RoomEvent>) -> Self {
        Self {
            #[cfg(feature = "http")]
            fetcher: {
                let fetcher = recorder_callback::FetcherOptions::default().with_policy(options.image_policy);
                match options.task.mix {
                    Some(_) => recorder_callback::Fetcher::new(fetcher)
                        .inspect_err(|error| tracing::error!(%error, "images cannot be fetched"))
                        .ok(),
                    None => None,
                }
            },
            answers,
            told: options.images_told,
        }
    }

    /// Whether images are fetched here, and not told by the embedder.
    pub(super) const fn are_fetched(&self) -> bool {
        !self.told
    }

    /// Begins to fetch an image, and answers with [`RoomEvent::Image`]. As many at a time as a layout names, which has
    /// a limit.
    pub(super) fn fetch(&self, url: ImageUrl) {
        let answers = self.answers.clone();
        #[cfg(feature = "http")]
        if let Some(fetcher) = self.fetcher.clone() {
            tokio::spawn(async move {
                let image = fetch_and_decode(&fetcher, &url).await;
                // Nobody waits any more where the recording is over.
                let _ = answers.send(RoomEvent::Image { url, image });
            });
            return;
        }
        tracing::warn!("images cannot be fetched without the feature `http`");
        let _ = answers.send(RoomEvent::Image { url, image: None });
    }
}

#[cfg(feature = "http")]
async fn fetch_and_decode(fetcher: &recorder_callback::Fetcher, url: &ImageUrl) -> Option<Arc<Bitmap>> {
    let file = match fetcher.fetch(url.as_str()).await {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!(%error, "an image cannot be fetched");
            return None;
        }
    };
    match tokio::task::spawn_blocking(move || Bitmap::decode(&file)).await {
        Ok(Ok(bitmap)) => Some(Arc::new(bitmap)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "an image cannot be decoded");
            None
        }
        Err(error) => {
            tracing::error!(%error, "decoding an image panicked");
            None
        }
    }
}

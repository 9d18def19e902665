use std::collections::HashSet;

use recorder_types::{MediaId, Size, UserId};

use crate::cells::{cells, check_canvas};
use crate::{
    AudioOnlyUsers, CustomWindow, ImageUrl, LayoutError, LayoutParams, MAX_WINDOWS, Placeholders, Placement,
    Rect, RenderMode, Rgb, Template, Transparency,
};

/// One stream of a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Whose.
    pub user: UserId,
    /// Camera and microphone, or the substream.
    pub media: MediaId,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Publishes {
    /// Sound alone.
    AudioOnly,
    /// Pictures, with sound or without.
    Video,
}

/// A stream that is published in the room. A user with a main stream and a substream is two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Who and which.
    pub stream: StreamId,
    /// When the user entered the room; only the order counts. Ties go by user id, then main before auxiliary.
    pub entered: u64,
    /// What it carries now.
    pub publishes: Publishes,
}

impl Participant {
    /// A stream of a user who entered at `entered`, of which only the order counts.
    #[must_use]
    pub const fn new(user: UserId, media: MediaId, entered: u64, publishes: Publishes) -> Self {
        Self { stream: StreamId { user, media }, entered, publishes }
    }
}

/// What a window shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// The pictures of a stream.
    Video(StreamId),
    /// The placeholder image, or the background: the stream has sound alone.
    AudioOnly(StreamId),
    /// As before, because the user that the layout names for this window publishes nothing (or is hidden).
    Absent(StreamId),
    /// The background: there is no one left to fill the window.
    Nobody,
}

impl Content {
    /// The stream that the window is for.
    #[must_use]
    pub const fn stream(&self) -> Option<&StreamId> {
        match self {
            Self::Video(stream) | Self::AudioOnly(stream) | Self::Absent(stream) => Some(stream),
            Self::Nobody => None,
        }
    }
}

/// A window of the canvas.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// Its place in the order in which windows are filled, from 0: the large one, the first cell, or the first of
    /// the list. It stays the same as long as the count of windows and the layout do.
    pub cell: usize,
    /// Where it is: even, inside the canvas.
    pub rect: Rect,
    /// What it shows.
    pub content: Content,
    /// How pictures are fitted.
    pub mode: RenderMode,
    /// How much of what is behind shows through.
    pub alpha: Transparency,
    /// The image to show while there is no picture; the background where `None`.
    pub placeholder: Option<ImageUrl>,
}

impl Window {
    /// Which part of a picture of this size goes where on the canvas.
    #[must_use]
    pub fn place(&self, picture: Size) -> Placement {
        Placement::new(picture, self.rect, self.mode)
    }
}

/// The picture of a room at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrangement {
    /// Its size; both sides are even.
    pub canvas: Size,
    /// Colour of the canvas behind everything.
    pub background: Rgb,
    /// Image over that colour.
    pub background_image: Option<ImageUrl>,
    /// How the image is fitted into the canvas.
    pub background_image_mode: RenderMode,
    /// From back to front.
    pub windows: Vec<Window>,
}

/// Places the streams of a room on a canvas.
///
/// Order is by time of entry, whatever the order of the list. The first 25 windows are filled and later streams have
/// none; the stream that the layout names for the large window has that one, whenever it came. In a custom layout a
/// named window shows its stream (a stream may be named twice), and windows without a name take, in the order of the
/// list, the next stream with their `MediaId` whose user no window names; audio-only users are not hidden there.
///
/// A large window whose named stream is not there stays reserved for it ([`Content::Absent`]), so that sizes do not
/// jump when it comes.
///
/// # Errors
/// What [`cells`] refuses, a custom list of more than 25 windows, and [`LayoutError::DuplicateStream`].
///
/// # Specification
/// `layouts.md`; `trtc-api.md` sections 3.2 and 6.
pub fn arrange(
    params: &LayoutParams,
    canvas: Size,
    participants: &[Participant],
) -> Result<Arrangement, LayoutError> {
    check_canvas(canvas)?;
    let mut seen = HashSet::with_capacity(participants.len());
    if let Some(twice) = participants.iter().find(|participant| !seen.insert(&participant.stream)) {
        let StreamId { user, media } = twice.stream.clone();
        return Err(LayoutError::DuplicateStream { user, media });
    }
    let mut order: Vec<&Participant> = participants.iter().collect();
    order.sort_by(|a, b| (a.entered, &a.stream).cmp(&(b.entered, &b.stream)));

    let windows = match &params.template {
        Template::Custom(list) => custom(params, list, canvas, &order)?,
        Template::Grid => template(params, canvas, &order, Large::Equal)?,
        Template::Floating { large: None } => template(params, canvas, &order, Large::First)?,
        Template::ScreenShare { large: None, .. } => template(params, canvas, &order, Large::Nobody)?,
        Template::Floating { large: Some(stream) } | Template::ScreenShare { large: Some(stream), .. } => {
            template(params, canvas, &order, Large::Named(stream))?
        }
    };
    Ok(Arrangement {
        canvas,
        background: params.background,
        background_image: params.background_image.clone(),
        background_image_mode: params.background_image_mode,
        windows,
    })
}

/// Who has the first window of a template.
enum Large<'a> {
    /// There is no large one.
    Equal,
    First,
    Nobody,
    Named(&'a StreamId),
}

fn template(
    params: &LayoutParams,
    canvas: Size,
    order: &[&Participant],
    large: Large<'_>,
) -> Result<Vec<Window>, LayoutError> {
    let visible =
        |p: &Participant| params.audio_only == AudioOnlyUsers::Window || p.publishes == Publishes::Video;
    let shown = order.iter().copied().filter(|p| visible(p));
    let mut contents = Vec::with_capacity(MAX_WINDOWS);
    let named = match large {
        Large::Equal | Large::First => None,
        Large::Nobody => {
            contents.push(Content::Nobody);
            None
        }
        Large::Named(stream) => {
            contents.push(content_of(stream, shown.clone()));
            Some(stream)
        }
    };
    contents.extend(shown.filter(|p| Some(&p.stream) != named).map(content));
    contents.truncate(MAX_WINDOWS);

    let rects = cells(&params.template, canvas, contents.len())?;
    let windows = rects.into_iter().zip(contents).enumerate();
    Ok(windows
        .map(|(cell, (rect, content))| Window {
            cell,
            rect,
            placeholder: placeholder(params, &content, None),
            content,
            mode: params.mode,
            alpha: Transparency::OPAQUE,
        })
        .collect())
}

fn custom(
    params: &LayoutParams,
    list: &[CustomWindow],
    canvas: Size,
    order: &[&Participant],
) -> Result<Vec<Window>, LayoutError> {
    if list.len() > MAX_WINDOWS {
        return Err(LayoutError::TooManyWindows { got: list.len() });
    }
    let named: HashSet<&UserId> = list.iter().filter_map(|window| window.user.as_ref()).collect();
    let free = |media| {
        order
            .iter()
            .copied()
            .filter(move |p| p.stream.media == media)
            .filter(|p| !named.contains(&p.stream.user))
    };
    let (mut main, mut aux) = (free(MediaId::Main), free(MediaId::Aux));

    let mut windows: Vec<(i64, Window)> = Vec::with_capacity(list.len());
    for (cell, window) in list.iter().enumerate() {
        let content = match (&window.user, window.media) {
            (Some(user), media) => content_of(&StreamId { user: user.clone(), media }, order.iter().copied()),
            (None, MediaId::Main) => main.next().map_or(Content::Nobody, content),
            (None, MediaId::Aux) => aux.next().map_or(Content::Nobody, content),
        };
        let Some(rect) = window.rect(cell, canvas)? else { continue };
        let placeholder = placeholder(params, &content, window.placeholder.as_ref());
        let shown = Window { cell, rect, content, mode: window.mode, alpha: window.alpha, placeholder };
        windows.push((window.layer, shown));
    }
    windows.sort_by_key(|(layer, _)| *layer); // stable: ties stay in list order
    Ok(windows.into_iter().map(|(_, window)| window).collect())
}

fn content(participant: &Participant) -> Content {
    match participant.publishes {
        Publishes::AudioOnly => Content::AudioOnly(participant.stream.clone()),
        Publishes::Video => Content::Video(participant.stream.clone()),
    }
}

fn content_of<'a>(stream: &StreamId, mut among: impl Iterator<Item = &'a Participant>) -> Content {
    among.find(|p| p.stream == *stream).map_or_else(|| Content::Absent(stream.clone()), content)
}

fn placeholder(params: &LayoutParams, content: &Content, own: Option<&ImageUrl>) -> Option<ImageUrl> {
    match content {
        Content::Nobody => None,
        Content::Absent(_) if params.placeholders == Placeholders::PublishersOnly => None,
        Content::Video(_) | Content::AudioOnly(_) | Content::Absent(_) => {
            own.or(params.placeholder_image.as_ref()).cloned()
        }
    }
}

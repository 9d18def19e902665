use std::collections::HashSet;

use recorder_layout::{
    Arrangement, LayoutError, LayoutParams, MAX_WINDOWS, Participant, Publishes, StreamId, Template, arrange,
};
use recorder_types::{MediaId, Size, UserId};

/// Windows of a template where nothing says how many.
const DEFAULT_WINDOWS: usize = 9;

/// A layout, and the names of those who come, in the order in which they do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'a> {
    pub(crate) params: &'a LayoutParams,
    pub(crate) canvas: Size,
    pub(crate) users: &'a [UserId],
}

impl Room<'_> {
    /// How many windows, or filled windows of a custom layout, where `asked` says nothing.
    pub(crate) fn count(&self, asked: Option<u8>) -> usize {
        match (asked, &self.params.template) {
            (Some(count), _) => usize::from(count),
            (None, Template::Custom(list)) if self.users.is_empty() => list.len(),
            (None, _) if self.users.is_empty() => DEFAULT_WINDOWS,
            (None, _) => self.users.len().min(self.largest_count()),
        }
    }

    /// The largest count that the layout has.
    pub(crate) fn largest_count(&self) -> usize {
        match &self.params.template {
            Template::Custom(list) => list.len(),
            Template::Grid | Template::Floating { .. } | Template::ScreenShare { .. } => MAX_WINDOWS,
        }
    }

    /// The room with `count` windows, or with `count` streams in the windows of a custom layout.
    pub(crate) fn arrange(&self, count: usize) -> Result<Arrangement, LayoutError> {
        let mut arrangement = arrange(self.params, self.canvas, &self.participants(count))?;
        if count == 0 && !matches!(self.params.template, Template::Custom(_)) {
            // A large window is kept for a user even in an empty room; a table of counts begins with none.
            arrangement.windows.clear();
        }
        Ok(arrangement)
    }

    /// Who has to be there for `count` windows; all of them send pictures.
    fn participants(&self, count: usize) -> Vec<Participant> {
        let mut names = Names::new(self);
        let streams: Vec<StreamId> = match &self.params.template {
            Template::Custom(list) => {
                let mut streams = Vec::new();
                for window in list {
                    let user = window.user.clone().unwrap_or_else(|| names.next());
                    let stream = StreamId { user, media: window.media };
                    if !streams.contains(&stream) {
                        streams.push(stream);
                    }
                }
                streams.truncate(count);
                streams
            }
            Template::ScreenShare { large: None, .. } => names.streams(count.saturating_sub(1)),
            Template::Floating { large: Some(large) } | Template::ScreenShare { large: Some(large), .. } => {
                let others = names.streams(count.saturating_sub(1));
                std::iter::once(large.clone()).chain(others).take(count).collect()
            }
            Template::Grid | Template::Floating { large: None } => names.streams(count),
        };
        let entered = (0..).zip(streams);
        entered
            .map(|(at, StreamId { user, media })| Participant::new(user, media, at, Publishes::Video))
            .collect()
    }
}

/// The names that the layout leaves to anyone: first those that were given, then invented ones.
struct Names<'a> {
    given: std::slice::Iter<'a, UserId>,
    taken: HashSet<&'a UserId>,
    invented: u32,
}

impl<'a> Names<'a> {
    fn new(room: &Room<'a>) -> Self {
        let mut taken = HashSet::new();
        match &room.params.template {
            Template::Custom(list) => taken.extend(list.iter().filter_map(|window| window.user.as_ref())),
            Template::Floating { large } | Template::ScreenShare { large, .. } => {
                taken.extend(large.iter().map(|large| &large.user));
            }
            Template::Grid => {}
        }
        Self { given: room.users.iter(), taken, invented: 0 }
    }

    fn next(&mut self) -> UserId {
        if let Some(user) = self.given.by_ref().find(|user| !self.taken.contains(user)) {
            self.taken.insert(user);
            return user.clone();
        }
        loop {
            self.invented += 1;
            let user: UserId =
                format!("user{}", self.invented).parse().expect("letters and digits are an id");
            if !self.taken.contains(&user) {
                return user;
            }
        }
    }

    fn streams(&mut self, count: usize) -> Vec<StreamId> {
        (0..count).map(|_| StreamId { user: self.next(), media: MediaId::Main }).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use recorder_layout::{Content, CustomWindow, LargeSide};

    use super::*;

    fn names(template: Template, users: &[&str], count: usize) -> Vec<String> {
        let users: Vec<UserId> = users.iter().map(|user| user.parse().unwrap()).collect();
        let params = LayoutParams::new(template);
        let room = Room { params: &params, canvas: Size::new(640, 360).unwrap(), users: &users };
        let mut windows = room.arrange(count).unwrap().windows;
        windows.sort_by_key(|window| window.cell);
        let name = |content: &Content| match content {
            Content::Video(stream) => stream.user.to_string(),
            Content::Absent(stream) => format!("({})", stream.user),
            _ => "-".to_owned(),
        };
        windows.iter().map(|window| name(&window.content)).collect()
    }

    #[test]
    fn a_count_is_of_windows_and_names_go_by_entry() {
        let stream = |user: &str| Some(StreamId { user: user.parse().unwrap(), media: MediaId::Aux });
        let share = |large| Template::ScreenShare { large, side: LargeSide::Left };
        for (template, users, count, expected) in [
            (Template::Grid, &["ann", "user1"][..], 4, &["ann", "user1", "user2", "user3"][..]),
            (Template::Grid, &["ann", "ben", "ann"], 2, &["ann", "ben"]),
            (Template::Floating { large: None }, &[], 2, &["user1", "user2"]),
            (Template::Floating { large: stream("ben") }, &["ann", "ben"], 3, &["ben", "ann", "user1"]),
            (share(None), &["ann"], 3, &["-", "ann", "user1"]),
            (share(None), &[], 0, &[]),
            (share(stream("z")), &[], 0, &[]),
            (share(stream("z")), &[], 1, &["z"]),
        ] {
            assert_eq!(names(template.clone(), users, count), expected, "{template:?} {users:?} {count}");
        }
    }

    #[test]
    fn windows_of_a_custom_layout_are_filled_in_the_order_of_its_list() {
        let window = |left| CustomWindow::new(left, 0, 100, 100);
        let list = vec![
            window(0),
            window(100).with_user("zoe".parse().unwrap(), MediaId::Aux),
            window(200),
            window(300).with_user("ann".parse().unwrap(), MediaId::Main),
        ];
        for (count, expected) in [
            (0, ["-", "(zoe)", "-", "(ann)"]),
            (2, ["ben", "zoe", "-", "(ann)"]),
            (3, ["ben", "zoe", "user1", "(ann)"]),
            (4, ["ben", "zoe", "user1", "ann"]),
        ] {
            assert_eq!(names(Template::Custom(list.clone()), &["ann", "ben"], count), expected, "{count}");
        }
    }
}

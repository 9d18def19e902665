use std::error::Error;

/// An error and what caused it, from the outside in, on one line with `: ` between: for a terminal or a report.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn causes_follow_the_error_that_they_caused() {
        let cause = Layer("no such file", None);
        assert_eq!(with_causes(&cause), "no such file");
        let middle = Layer("opening a.mp4", Some(Box::new(cause)));
        let error = Layer("participant alice", Some(Box::new(middle)));
        assert_eq!(with_causes(&error), "participant alice: opening a.mp4: no such file");
    }
}

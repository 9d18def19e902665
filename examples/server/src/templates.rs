use std::collections::HashMap;
use std::path::Path;

use recorder::api::{AutoRecording, ServiceError};
use recorder::callback::AddressPolicy;
use recorder::types::{SdkAppId, with_causes};
use serde_json::value::RawValue;

use crate::api::check_storage;
use crate::keys::{FileError, Unique, read};

/// Why a template cannot be used: who runs the server has to change it. Nothing of its values is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplatesError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{name}: an SdkAppId is a number from 1 to 4294967295")]
    App { name: String },
    #[error("SdkAppId {app}: {error}")]
    Template { app: SdkAppId, error: String },
}

/// Reads `{"<SdkAppId>": {template}}`.
pub(crate) fn read_templates(
    path: &Path,
    policy: AddressPolicy,
) -> Result<Vec<(SdkAppId, AutoRecording)>, TemplatesError> {
    parse(&read(path)?, policy)
}

fn parse(json: &[u8], policy: AddressPolicy) -> Result<Vec<(SdkAppId, AutoRecording)>, TemplatesError> {
    let Unique(by_app): Unique<Box<RawValue>> = serde_json::from_slice(json).map_err(FileError::from)?;
    let by_app: HashMap<String, Box<RawValue>> = by_app;
    by_app
        .into_iter()
        .map(|(name, text)| {
            let id = name.parse().ok().filter(|id: &u32| *id > 0 && id.to_string() == name);
            let app = id.map(SdkAppId::new);
            let app = app.ok_or_else(|| TemplatesError::App { name: name.escape_debug().to_string() })?;
            let wrong =
                |error: &dyn std::error::Error| TemplatesError::Template { app, error: with_causes(error) };
            let template = AutoRecording::from_json(text.get().as_bytes()).map_err(|error| wrong(&error))?;
            check_storage(&template.storage, policy).map_err(|error: ServiceError| wrong(&error))?;
            Ok((app, template))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read_by_application_and_what_is_wrong_is_told_with_its_place() {
        let storage = r#""StorageParams": {"CloudStorage": {"Vendor": 1, "Region": "r", "Bucket": "b",
            "AccessKey": "s3cret", "SecretKey": "s3cret"}}"#;
        let of = |app: &str, more: &str| format!(r#"{{"{app}": {{{storage}{more}}}}}"#);
        let read = |json: &str| parse(json.as_bytes(), AddressPolicy::PublicOnly);
        let templates = read(&of("1400000001", r#", "ResumptionTimeout": 7"#)).unwrap();
        assert_eq!((templates[0].0.get(), templates[0].1.resumption_timeout.as_secs()), (1_400_000_001, 7));
        for (json, why) in [
            (of("0", ""), "from 1"),
            (of("01", ""), "from 1"),
            (of("all", ""), "from 1"),
            (
                of("1", r#", "ResumptionTimeout": 0"#),
                "SdkAppId 1: InvalidParameter.OutOfRange: ResumptionTimeout",
            ),
            (of("1", r#", "Timeout": 1"#), "Timeout"),
            (r#"{"1": {}}"#.to_owned(), "StorageParams"),
            (of("1", "").replace("\"r\"", "\"evil.example/\""), "Region"),
            ("[]".to_owned(), "not JSON"),
        ] {
            let error = read(&json).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("s3cret"), "{json}: {error}");
        }
    }
}

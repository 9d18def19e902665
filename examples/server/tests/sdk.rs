//! The official Python SDK as the client, where it is installed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Command;

use serde_json::json;
use support::{APP, ID, Running, SECRET};

#[test]
fn the_official_python_sdk_runs_every_action_and_gets_every_error() {
    let python = std::env::var("SDK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_sdk =
        Command::new(&python).args(["-c", "import tencentcloud.trtc.v20190722.trtc_client"]).output();
    if !has_sdk.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no tencentcloud-sdk-python-trtc; SDK_PYTHON names one that has");
        return;
    }
    let keys = json!({
        ID: { "SecretKey": SECRET, "SdkAppIds": [APP] },
        "AKIDchecked": { "SecretKey": "checked", "SdkAppIds": [APP + 1], "AppSecret": "app-secret" },
    });
    let server = Running::with_keys(&keys, &["--max-tasks", "2"]);
    let output = Command::new(&python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk.py"))
        .args([&server.address, ID, SECRET, &APP.to_string(), "AKIDchecked", "checked"])
        .output()
        .unwrap();
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.ends_with("all as documented\n"), "{told}\n{error}");
}

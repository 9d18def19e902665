//! The page in a browser, where there is one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use support::{APP, ID, Running, SECRET};

#[test]
fn a_task_is_started_seen_changed_stopped_and_played_in_a_browser() {
    let Some(modules) = std::env::var_os("PLAYWRIGHT").map(PathBuf::from) else {
        eprintln!("skipped: PLAYWRIGHT names no directory with node_modules/playwright-core");
        return;
    };
    let chromium = std::env::var_os("CHROMIUM").map_or("/usr/bin/chromium".into(), PathBuf::from);
    let has_node = Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_node || !chromium.exists() {
        eprintln!(
            "skipped: node, and chromium at /usr/bin/chromium or where CHROMIUM says, are not both here"
        );
        return;
    }
    let server = Running::start(&["--control"]);
    let shots = std::env::var_os("SHOTS").map_or_else(|| server.root.path().join("shots"), PathBuf::from);
    let output = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page.mjs"))
        .args([&server.address, ID, SECRET, &APP.to_string()])
        .args([modules, shots])
        .env("CHROMIUM", chromium)
        .output()
        .unwrap();
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.ends_with("all well\n"), "{told}\n{error}");
}

//! Loads a running server: so many tasks in one room, and each action called as often as it may be, for so many seconds.
//!
//! ```text
//! server --keys keys.json --spool spool --storage-override out --control --max-tasks 130 &
//! cargo run --release -p server --example load -- 127.0.0.1:8080 AKIDexample example 1400000001 --tasks 100 --seconds 60
//! ```
//!
//! Ends with status 1 if a call fails, or a task is lost: not running any more before it is deleted, or never over.

#[path = "../tests/support/client.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests, which use more of it")]
mod client;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use client::Client;
use serde_json::{Value, json};

/// From call to call of one action: the 20 in a second that pass, and a little slack for the clocks.
const PACE: Duration = Duration::from_millis(52);

/// From one part to the next, which calls the same actions at the full pace again.
const BREATH: Duration = Duration::from_millis(1100);

/// How long deleted tasks may take to deliver their files.
const END_PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Parser)]
struct Args {
    /// HOST:PORT of the server.
    address: String,
    secret_id: String,
    secret_key: String,
    sdk_app_id: u32,
    /// Tasks that run all the time. One more comes and goes with each call of create and delete.
    #[arg(long, default_value_t = 100)]
    tasks: usize,
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Simulated people in the room, by --control of the server.
    #[arg(long, default_value_t = 2)]
    participants: usize,
}

/// How long calls took, and what went wrong.
#[derive(Debug, Default)]
struct Told {
    times: Vec<Duration>,
    wrong: BTreeMap<String, usize>,
}

impl Told {
    fn append(&mut self, other: Self) {
        self.times.extend(other.times);
        for (code, count) in other.wrong {
            *self.wrong.entry(code).or_default() += count;
        }
    }
}

/// One thread's client, that calls one action at its pace.
struct Caller {
    client: Client,
    app: u32,
    next: Instant,
    told: Told,
}

impl Caller {
    fn new(args: &Args) -> Self {
        let client = Client::new(&args.address, &args.secret_id, &args.secret_key);
        Self { client, app: args.sdk_app_id, next: Instant::now(), told: Told::default() }
    }

    fn call(&mut self, action: &str, request: &Value) -> Result<Value, String> {
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next = Instant::now() + PACE;
        let begun = Instant::now();
        let reply = self.client.call(action, request);
        self.told.times.push(begun.elapsed());
        match reply.code() {
            code if code == "OK" => Ok(reply.response()),
            code => Err(code),
        }
    }

    /// A call that has to go well.
    fn good(&mut self, action: &str, request: &Value) -> Option<Value> {
        match self.call(action, request) {
            Ok(answer) => Some(answer),
            Err(code) => {
                *self.told.wrong.entry(code).or_default() += 1;
                None
            }
        }
    }

    fn create(&mut self, robot: &str) -> Option<String> {
        let request = json!({
            "SdkAppId": self.app, "RoomId": "1001", "UserId": robot, "UserSig": "unchecked",
            "RecordParams": { "RecordMode": 1, "MaxIdleTime": 3600 },
            "StorageParams": { "CloudStorage": { "Vendor": 1, "Region": "r", "Bucket": "b", "AccessKey": "a",
                "SecretKey": "s" } },
        });
        let answer = self.good("CreateCloudRecording", &request)?;
        Some(answer["TaskId"].as_str()?.to_owned())
    }

    fn of_task(&self, task: &str) -> Value {
        json!({ "SdkAppId": self.app, "TaskId": task })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut caller = Caller::new(&args);
    for number in 0..args.participants {
        let body = json!({ "UserId": format!("person{number}"), "Simulate": true }).to_string();
        let kind = [("Content-Type".to_owned(), "application/json".to_owned())];
        let target = format!("/control/rooms/{}/1001/participants", args.sdk_app_id);
        let reply = caller.client.send("POST", &target, &kind, body.as_bytes());
        if reply.status != 204 {
            eprintln!("error: no participant: {}", reply.text());
            return ExitCode::from(2);
        }
    }
    let tasks: Vec<String> = (0..args.tasks).filter_map(|n| caller.create(&format!("robot{n}"))).collect();
    eprintln!("{} tasks run", tasks.len());

    std::thread::sleep(BREATH);
    let told = call_for_a_while(&args, &tasks);
    std::thread::sleep(BREATH);
    // The connection has rested for long, and the server may have closed it.
    let mut last = Caller::new(&args);
    let lost = lost(&mut last, &tasks);
    caller.told.append(last.told);
    let mut is_good = lost == 0 && tasks.len() == args.tasks;
    for (action, told) in [("all but what follows", caller.told)].into_iter().chain(told) {
        eprintln!("{action}: {}", show(&told));
        is_good &= told.wrong.is_empty();
    }
    eprintln!("{lost} of {} tasks lost", args.tasks);
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each action from a thread of its own.
fn call_for_a_while(args: &Args, tasks: &[String]) -> Vec<(&'static str, Told)> {
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let is_on = move || Instant::now() < end;
    let (passing, to_delete) = std::sync::mpsc::channel();
    let made = AtomicUsize::new(0);
    let nth = |n: usize| tasks.get(n % tasks.len().max(1)).map_or("none", String::as_str);
    std::thread::scope(|scope| {
        let create = scope.spawn(|| {
            let passing = passing;
            let mut caller = Caller::new(args);
            while is_on() {
                let number = made.fetch_add(1, Ordering::Relaxed);
                if let Some(task) = caller.create(&format!("passing{number}")) {
                    // Whoever deletes lives as long as there is something to delete.
                    let _ = passing.send(task);
                }
            }
            caller.told
        });
        let delete = scope.spawn(|| {
            let to_delete = to_delete;
            let mut caller = Caller::new(args);
            for task in to_delete {
                caller.good("DeleteCloudRecording", &caller.of_task(&task));
            }
            caller.told
        });
        let again = |action: &'static str| {
            move || {
                let mut caller = Caller::new(args);
                for number in 0.. {
                    if !is_on() {
                        break;
                    }
                    caller.good(action, &caller.of_task(nth(number)));
                }
                caller.told
            }
        };
        let describe = scope.spawn(again("DescribeCloudRecording"));
        let modify = scope.spawn(again("ModifyCloudRecording"));
        [
            ("CreateCloudRecording", create),
            ("DescribeCloudRecording", describe),
            ("ModifyCloudRecording", modify),
            ("DeleteCloudRecording", delete),
        ]
        .into_iter()
        .map(|(action, thread)| (action, thread.join().expect("a thread of calls does not panic")))
        .collect()
    })
}

/// Ends the tasks; tells how many were not running before, or are not over in time.
fn lost(caller: &mut Caller, tasks: &[String]) -> usize {
    let mut lost = 0;
    for task in tasks {
        let status = caller.good("DescribeCloudRecording", &caller.of_task(task));
        lost += usize::from(status.is_none_or(|answer| answer["Status"] == "Exited"));
        caller.good("DeleteCloudRecording", &caller.of_task(task));
    }
    let end = Instant::now() + END_PATIENCE;
    for task in tasks {
        while caller.call("DescribeCloudRecording", &caller.of_task(task)) != Err("ResourceNotFound".into()) {
            if Instant::now() > end {
                lost += 1;
                break;
            }
        }
    }
    lost
}

fn show(told: &Told) -> String {
    let mut times = told.times.clone();
    times.sort();
    let at =
        |hundredths: usize| times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1)));
    let millis = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let (median, late, last) = (millis(at(50)), millis(at(99)), millis(times.last()));
    format!(
        "{} calls, median {median:.2} ms, p99 {late:.2} ms, max {last:.2} ms; failed {:?}",
        times.len(),
        told.wrong
    )
}

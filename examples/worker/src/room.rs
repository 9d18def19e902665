//! Simulated people in the room of a task.

use std::time::{Duration, Instant};

use recorder::types::{MediaId, RoomTime, UserId, with_causes};
use recorder::{Recording, RoomEvent, SendError, TrackOrigin};
use recorder_room_input::{InputError, PlacedSource, SimulatedOptions, SimulatedSource};
use serde::{Deserialize, Serialize};

/// Somebody stays for 30 days, if the task does.
const SECONDS: u32 = 30 * 86_400;

/// What a task tells those who record it: who is in its room.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    #[serde(rename = "Participants")]
    pub(crate) participants: Vec<String>,
}

/// Lets everybody enter, each on a thread of their own, until the recording ends.
pub(crate) fn play(recording: &Recording, note: &Note) {
    for name in &note.participants {
        let Ok(user) = name.parse::<UserId>() else {
            eprintln!("error: {name:?} is no user id");
            continue;
        };
        let recording = recording.clone();
        let begun = std::thread::Builder::new().name("participant".into()).spawn(move || {
            if let Err(error) = send(&recording, &user) {
                eprintln!("error: {user}: {}", with_causes(&error));
            }
        });
        if let Err(error) = begun {
            eprintln!("error: no thread for a participant: {error}");
        }
    }
}

fn send(recording: &Recording, user: &UserId) -> Result<(), InputError> {
    let mut options = SimulatedOptions::default();
    options.name = user.as_str().to_owned();
    options.seconds = SECONDS;
    let mut source = PlacedSource::new(SimulatedSource::new(&options)?.into(), RoomTime::ZERO)?;
    source.delay(source.lead());
    let (media, began) = (MediaId::Main, Instant::now());
    let mut events = vec![RoomEvent::Enter { user: user.clone() }];
    events.extend(source.tracks().map(|(_, config)| RoomEvent::Publish {
        user: user.clone(),
        media,
        config,
        origin: TrackOrigin::FirstArrival,
    }));
    if events.into_iter().any(|event| recording.event(event).is_err()) {
        return Ok(()); // it is over already
    }
    while let Some(at) = source.next_time()? {
        let Some((kind, sample)) = source.next_sample()? else { break };
        let due = Duration::from_nanos(u64::try_from(at.nanos()).unwrap_or(0));
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let event = RoomEvent::Sample { user: user.clone(), media, kind, sample };
        if recording.event(event) == Err(SendError::Ended) {
            return Ok(());
        }
    }
    Ok(())
}

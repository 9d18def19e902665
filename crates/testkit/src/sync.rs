//! Somebody who flashes and beeps once a second, and when flashes and beeps come out again.

use recorder_types::RoomTime;

const SECOND: u64 = 1_000_000_000;

/// When somebody flashes and beeps: `phase_millis` after each full second of the room, for [`Rhythm::MILLIS`].
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// 0 to 999 - [`Rhythm::MILLIS`]; on a picture, where a flash is to begin exactly.
    pub phase_millis: u32,
    /// How much faster than the room's the clock is that samples are counted by, in millionths.
    pub ppm: i32,
}

impl Rhythm {
    /// How long a flash and a beep last.
    pub const MILLIS: u32 = 100;

    /// Sample `n` of a microphone that makes `rate` of them in a second of its own: 1 kHz at half of full scale during a
    /// beep, else silence.
    #[must_use]
    pub fn sample(self, n: u64, rate: u32) -> f32 {
        let per_second = u128::from(rate) * u128::from(self.speed());
        let at = u128::from(n) * u128::from(SECOND) * 1_000_000 / per_second;
        if !self.is_on(u64::try_from(at).unwrap_or(u64::MAX)) {
            return 0.0;
        }
        let turn = (n * 1000 % u64::from(rate)) as f32 / rate as f32;
        (turn * std::f32::consts::TAU).sin() * 0.5
    }

    /// Whether picture `n` of `fps` in a second shows a flash.
    #[must_use]
    pub fn is_flash(self, n: u64, fps: u32) -> bool {
        self.is_on(n * SECOND / u64::from(fps))
    }

    /// The room's time when the microphone's clock shows `own`, both from zero on; rounded toward zero.
    #[must_use]
    pub fn room_time(self, own: RoomTime) -> RoomTime {
        let nanos = i128::from(own.nanos()) * 1_000_000 / i128::from(self.speed());
        RoomTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    fn is_on(self, nanos: u64) -> bool {
        let millis = nanos / 1_000_000 % 1000;
        (u64::from(self.phase_millis)..u64::from(self.phase_millis + Self::MILLIS)).contains(&millis)
    }

    /// Millionths of a second that the microphone's clock makes in one of the room.
    fn speed(self) -> u64 {
        u64::try_from(1_000_000 + i64::from(self.ppm)).unwrap_or(1).max(1)
    }
}

/// Finds beeps in sound that comes in pieces.
#[derive(Debug)]
pub struct Beeps {
    rate: u32,
    heard: u64,
    last_loud: Option<u64>,
    begins: Vec<RoomTime>,
}

impl Beeps {
    /// For sound of one channel that begins at zero.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self { rate, heard: 0, last_loud: None, begins: Vec::new() }
    }

    /// Takes the next samples. A beep begins with the first sample over a tenth of full scale after 200 ms without one.
    pub fn hear(&mut self, pcm: &[f32]) {
        for sample in pcm {
            if sample.abs() > 0.1 {
                if self.last_loud.is_none_or(|last| self.heard - last > u64::from(self.rate / 5)) {
                    let nanos = u128::from(self.heard) * u128::from(SECOND) / u128::from(self.rate);
                    self.begins.push(RoomTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)));
                }
                self.last_loud = Some(self.heard);
            }
            self.heard += 1;
        }
    }

    /// When they began, in order.
    #[must_use]
    pub fn begins(&self) -> &[RoomTime] {
        &self.begins
    }

    /// How much later than `flash` the nearest beep began; `None` if there was none.
    #[must_use]
    pub fn after(&self, flash: RoomTime) -> Option<RoomTime> {
        let next = self.begins.partition_point(|begin| *begin < flash);
        let near = &self.begins[next.saturating_sub(1)..self.begins.len().min(next + 1)];
        near.iter().map(|begin| begin.saturating_sub(flash)).min_by_key(|off| off.nanos().unsigned_abs())
    }
}

/// Finds flashes in pictures that come one by one.
#[derive(Debug, Default)]
pub struct Flashes {
    is_bright: bool,
    begins: Vec<RoomTime>,
}

impl Flashes {
    /// Takes the next picture: a luma of 130 or more is bright.
    pub fn see(&mut self, at: RoomTime, luma: u8) {
        let was_bright = std::mem::replace(&mut self.is_bright, luma >= 130);
        if self.is_bright && !was_bright {
            self.begins.push(at);
        }
    }

    /// When they began, in order.
    #[must_use]
    pub fn begins(&self) -> &[RoomTime] {
        &self.begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_is_found_as_far_off_as_it_runs() {
        let rhythm = Rhythm { phase_millis: 250, ppm: 1000 };
        let mut beeps = Beeps::new(48_000);
        let pcm: Vec<f32> = (0..48_000 * 10).map(|n| rhythm.sample(n, 48_000)).collect();
        // However it is cut.
        pcm.chunks(1013).for_each(|piece| beeps.hear(piece));
        assert_eq!(beeps.begins().len(), 10);
        let mut flashes = Flashes::default();
        for n in 0..200 {
            let luma = if rhythm.is_flash(n, 20) { 200 } else { 60 };
            flashes.see(RoomTime::from_millis(i64::try_from(n).unwrap() * 50), luma);
        }
        let due: Vec<RoomTime> = (0..10).map(|n| RoomTime::from_millis(n * 1000 + 250)).collect();
        assert_eq!(flashes.begins(), due);
        // Counted by the fast clock the last beep is 9.25 ms late; by the room's it is in time, but for the tone's rise.
        let late = beeps.after(due[9]).unwrap();
        assert!((9_250_000..9_400_000).contains(&late.nanos()), "{late:?}");
        let late = rhythm.room_time(beeps.begins()[9]).saturating_sub(due[9]);
        assert!((0..150_000).contains(&late.nanos()), "{late:?}");
    }
}

//! Time and chance: the one door to both.

mod steady;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::error::Error;

pub(crate) use steady::Steady;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. Written and read as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest time that RFC 3339 can write (9999-12-30T22:00:00Z).
    const MILLISECONDS_MAX: i64 = 253_402_207_200_000;

    /// The timestamp `ms` milliseconds after the epoch, kept within what RFC 3339 can write.
    #[must_use]
    pub fn from_milliseconds(ms: i64) -> Self {
        Self(ms.clamp(0, Self::MILLISECONDS_MAX))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        self.0
    }

    /// This time plus `duration`, at most the latest time that can be written.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(Self::MILLISECONDS_MAX);
        Self::from_milliseconds(self.0.saturating_add(ms))
    }

    /// This time `ms` milliseconds later, or earlier, kept within what can be written.
    pub(crate) fn shifted(self, ms: i64) -> Self {
        Self::from_milliseconds(self.0.saturating_add(ms))
    }

    /// The time from `earlier` to this, zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        write!(f, "{time:.3}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads RFC 3339 with any offset; digits after the millisecond are dropped.
    fn from_str(text: &str) -> Result<Self, Error> {
        let time: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| {
            let wrong = match is_too_late(text) {
                true => format!(
                    "time is after `{}`, the latest that is taken",
                    Self(Self::MILLISECONDS_MAX)
                ),
                false => "time is not RFC 3339, such as `2026-03-01T12:00:00Z`".to_owned(),
            };
            Error::invalid(wrong).with_source(error)
        })?;
        Ok(Self::from_milliseconds(time.as_millisecond()))
    }
}

/// Whether a text is a time but for its year, which is too late to be one.
fn is_too_late(text: &str) -> bool {
    let Some((year, rest)) = text.split_once('-') else {
        return false;
    };
    let is_late = year == "9999" || year.len() > 4 && year.bytes().all(|it| it.is_ascii_digit());
    is_late && format!("9996-{rest}").parse::<jiff::Timestamp>().is_ok()
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl<C> minicbor::Encode<C> for Timestamp {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.i64(self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Timestamp {
    fn decode(
        decoder: &mut minicbor::Decoder<'b>,
        _: &mut C,
    ) -> Result<Self, minicbor::decode::Error> {
        Ok(Self::from_milliseconds(decoder.i64()?))
    }
}

/// Time and chance. Sleeping is `tokio::time::sleep`, so that a test's paused runtime drives it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, UTC. It may jump; only what is stored or shown uses it.
    fn now(&self) -> Timestamp;

    /// Time since some fixed point; never goes back.
    fn elapsed(&self) -> Duration;

    /// 64 random bits.
    fn random(&self) -> u64;
}

/// The machine's clock and the operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = clock_gettime(ClockId::Realtime);
        let ms = now.tv_sec.saturating_mul(1000);
        Timestamp::from_milliseconds(ms.saturating_add(now.tv_nsec / 1_000_000))
    }

    /// Since the machine was started. Asked for several times for each event: the time since the process was would have to
    /// be worked out each time.
    fn elapsed(&self) -> Duration {
        let now = clock_gettime(ClockId::Monotonic);
        let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
        Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), nanoseconds)
    }

    fn random(&self) -> u64 {
        // One seed from the operating system per process, then SplitMix64: ids need to be unique, not secret, and a
        // system call per event would cost more than the rest of making it.
        static STATE: std::sync::LazyLock<AtomicU64> = std::sync::LazyLock::new(|| {
            let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
            // Version and variant are six fixed bits; folded, all 64 are random.
            AtomicU64::new(high ^ low.rotate_left(17))
        });
        mix(STATE.fetch_add(GAMMA, Ordering::Relaxed))
    }
}

/// A clock for tests: starts at a given time, follows tokio's (pausable) time, random numbers from a seed.
#[derive(Debug)]
pub struct TestClock {
    start: Timestamp,
    origin: tokio::time::Instant,
    state: AtomicU64,
}

impl TestClock {
    /// A clock that shows `start` now and draws its random numbers from `seed`. Needs a tokio runtime.
    #[must_use]
    pub fn new(start: Timestamp, seed: u64) -> Self {
        Self {
            start,
            origin: tokio::time::Instant::now(),
            state: AtomicU64::new(seed),
        }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.start.after(self.origin.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn random(&self) -> u64 {
        mix(self.state.fetch_add(GAMMA, Ordering::Relaxed))
    }
}

/// SplitMix64's step: odd, and its bits look random.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's finalizer (Steele, Lea, Flood 2014): spreads every input bit over the output.
#[must_use]
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

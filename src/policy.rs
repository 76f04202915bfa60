//! The policies: what an agent does with its IPs when it loses what it relies on, and at its end.
//!
//! Each is a few words, the same ones in the environment, in the API, in etcd and in `linkctl`.
//! Nothing here reads a clock, logs or does I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What an agent does with an IP when etcd is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossPolicy {
    /// Take it.
    #[default]
    Take,
    /// Take it unless another host answers for it on the network.
    Probe,
    /// Stay as it is: an owner keeps it, a standby stays one.
    Hold,
}

/// What happens to an IP when the health checks fail on every host that offers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllFailingPolicy {
    /// It stays where it was, shown as `FAILING` and bound.
    #[default]
    KeepLast,
    /// It is removed everywhere, as the Go LinK does.
    None,
}

/// How a standby finds out that the host of an owner is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrashDetection {
    /// The host is silent on the network, and its lease was not renewed in time.
    #[default]
    Strict,
    /// The host is silent on the network, and others are heard there at that moment.
    Fast,
    /// Its lease has ended.
    Off,
}

/// What SIGTERM means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopPolicy {
    /// Hand over, remove the addresses, revoke the lease.
    #[default]
    Release,
    /// Leave addresses and lease, for the process that comes next.
    Keep,
}

/// A text is none of a policy's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// The words that there are.
    known: String,
}

/// A policy by its words.
trait Words: Copy + PartialEq + 'static {
    const ALL: &'static [(&'static str, Self)];

    fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, policy)| *policy == self);
        found.map_or("", |(word, _)| word)
    }

    fn of_word(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().find(|(word, _)| *word == text);
        found.map(|(_, policy)| *policy).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|(word, _)| *word).collect();
            UnknownWord { known: words.join(", ") }
        })
    }
}

impl Words for LossPolicy {
    const ALL: &'static [(&'static str, LossPolicy)] =
        &[("take", LossPolicy::Take), ("probe", LossPolicy::Probe), ("hold", LossPolicy::Hold)];
}

impl Words for AllFailingPolicy {
    const ALL: &'static [(&'static str, AllFailingPolicy)] =
        &[("keep-last", AllFailingPolicy::KeepLast), ("none", AllFailingPolicy::None)];
}

impl Words for CrashDetection {
    const ALL: &'static [(&'static str, CrashDetection)] = &[
        ("strict", CrashDetection::Strict),
        ("fast", CrashDetection::Fast),
        ("off", CrashDetection::Off),
    ];
}

impl Words for StopPolicy {
    const ALL: &'static [(&'static str, StopPolicy)] =
        &[("release", StopPolicy::Release), ("keep", StopPolicy::Keep)];
}

impl fmt::Display for LossPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for AllFailingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for CrashDetection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for StopPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for LossPolicy {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<LossPolicy, UnknownWord> {
        LossPolicy::of_word(text)
    }
}

impl FromStr for AllFailingPolicy {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<AllFailingPolicy, UnknownWord> {
        AllFailingPolicy::of_word(text)
    }
}

impl FromStr for CrashDetection {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<CrashDetection, UnknownWord> {
        CrashDetection::of_word(text)
    }
}

impl FromStr for StopPolicy {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<StopPolicy, UnknownWord> {
        StopPolicy::of_word(text)
    }
}

/// Only written: whoever reads one has to say what becomes of an unknown word.
impl Serialize for LossPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is not a policy ({})", self.known)
    }
}

impl std::error::Error for UnknownWord {}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_has_words<P: Words + fmt::Display + fmt::Debug>(words: &[&str]) {
        for word in words {
            assert_eq!(P::of_word(word).unwrap().to_string(), *word);
        }
        let unknown = format!("is not a policy ({})", words.join(", "));
        for text in ["", "Take", " hold", "guess"] {
            assert_eq!(P::of_word(text).unwrap_err().to_string(), unknown, "{text}");
        }
    }

    #[test]
    fn a_policy_is_read_as_it_is_written_and_what_is_none_is_told_the_words() {
        assert_has_words::<LossPolicy>(&["take", "probe", "hold"]);
        assert_has_words::<AllFailingPolicy>(&["keep-last", "none"]);
        assert_has_words::<CrashDetection>(&["strict", "fast", "off"]);
        assert_has_words::<StopPolicy>(&["release", "keep"]);
    }

    #[test]
    fn in_json_a_policy_is_its_word() {
        assert_eq!(serde_json::to_string(&LossPolicy::Probe).unwrap(), "\"probe\"");
    }
}

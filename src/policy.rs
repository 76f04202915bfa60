//! The policies: what an agent does with its IPs when it loses what it relies on, and at its end.
//!
//! Each is a few words, the same ones in the environment, in the API, in etcd and in `linkctl`.
//! Nothing here reads a clock, logs or does I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What an agent does with an IP when etcd is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Deserialize), serde(rename_all = "lowercase"))]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum AllFailingPolicy {
    /// It stays where it was, shown as `FAILING` and bound.
    #[default]
    KeepLast,
    /// It is removed everywhere, as the Go LinK does.
    None,
}

/// How a standby finds out that the host of an owner is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StopPolicy {
    /// Hand over, remove the addresses, revoke the lease.
    #[default]
    Release,
    /// Leave addresses and lease, for the process that comes next.
    Keep,
}

/// What becomes of the TCP connections at an address that leaves this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Connections {
    /// They are reset, so that both sides know.
    #[default]
    Reset,
    /// Nothing: the other side knows when it says something.
    Keep,
}

/// A text is none of a policy's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// The words that there are.
    known: &'static [&'static str],
}

/// The words of a policy, and how it is read from one and written as one.
macro_rules! words {
    ($policy:ident { $($word:literal => $variant:ident),+ }) => {
        impl fmt::Display for $policy {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($policy::$variant => $word),+ })
            }
        }

        impl FromStr for $policy {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<$policy, UnknownWord> {
                match text {
                    $($word => Ok($policy::$variant),)+
                    _ => Err(UnknownWord { known: &[$($word),+] }),
                }
            }
        }
    };
}

words!(LossPolicy { "take" => Take, "probe" => Probe, "hold" => Hold });
words!(AllFailingPolicy { "keep-last" => KeepLast, "none" => None });
words!(CrashDetection { "strict" => Strict, "fast" => Fast, "off" => Off });
words!(StopPolicy { "release" => Release, "keep" => Keep });
words!(Connections { "reset" => Reset, "keep" => Keep });

/// Only written: whoever reads one has to say what becomes of an unknown word.
impl Serialize for LossPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is not a policy ({})", self.known.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// What holds of the IPs that do not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// What is done with them when etcd is lost.
    pub loss: LossPolicy,
    /// Who is first when one is free.
    pub priority: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_has_words<P>(words: &[&str])
    where
        P: FromStr<Err = UnknownWord> + fmt::Display + fmt::Debug,
    {
        for word in words {
            assert_eq!(word.parse::<P>().unwrap().to_string(), *word);
        }
        let unknown = format!("is not a policy ({})", words.join(", "));
        for text in ["", "Take", " hold", "guess"] {
            assert_eq!(text.parse::<P>().unwrap_err().to_string(), unknown, "{text}");
        }
    }

    #[test]
    fn a_policy_is_read_as_it_is_written_and_what_is_none_is_told_the_words() {
        assert_has_words::<LossPolicy>(&["take", "probe", "hold"]);
        assert_has_words::<AllFailingPolicy>(&["keep-last", "none"]);
        assert_has_words::<CrashDetection>(&["strict", "fast", "off"]);
        assert_has_words::<StopPolicy>(&["release", "keep"]);
        assert_has_words::<Connections>(&["reset", "keep"]);
    }

    #[test]
    fn in_json_a_policy_is_its_word() {
        assert_eq!(serde_json::to_string(&LossPolicy::Probe).unwrap(), "\"probe\"");
    }
}

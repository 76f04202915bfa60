//! Random faults on real agents, a real etcd and a client, for a minute; `cargo bench --bench chaos`
//! goes on for as long as one likes.
//!
//! It is a target of its own so that it has the machine to itself: its bounds are times.

#[cfg(test)]
mod around;
#[cfg(test)]
mod growing;
#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "the scenarios use the rest of the lab")]
#[path = "../lab/harness/mod.rs"]
mod harness;
#[cfg(test)]
mod judging;
#[cfg(test)]
mod planning;
#[cfg(test)]
mod run;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::run::{Settings, run};

    #[test]
    fn random_faults_violate_nothing() {
        let settings = Settings { time: Duration::from_secs(50), ..Settings::new(1) };
        let violations = run(&settings, &mut |line| println!("{line}"));
        assert_eq!(violations, 0);
    }
}

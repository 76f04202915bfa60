//! What was asked for on the command line.

use super::keepalived;

/// Runs of a case, unless `--runs` says otherwise; a median of fewer than five says little.
const RUNS: usize = 7;

/// What was asked for.
pub(crate) struct Options {
    /// How often each case is run.
    pub(crate) runs: usize,
    /// Whether what takes minutes is not cut short.
    pub(crate) long: bool,
    /// The names of the cases to run; none means all of the usual ones.
    pub(crate) chosen: Vec<&'static str>,
    /// What keepalived says of itself, if it is there.
    pub(crate) keepalived: Option<String>,
}

impl Options {
    /// Reads the arguments; otherwise an exit code, and a text that helps.
    pub(crate) fn read(
        mut arguments: impl Iterator<Item = String>,
        names: &[&'static str],
    ) -> Result<Options, (u8, String)> {
        let keepalived = keepalived::version();
        let mut options = Options { runs: RUNS, long: false, chosen: Vec::new(), keepalived };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo adds it.
                "--bench" => {}
                "--long" => options.long = true,
                "--runs" => {
                    let number = arguments.next().and_then(|text| text.parse().ok());
                    let number = number.filter(|runs| *runs > 0);
                    options.runs = number.ok_or_else(|| mistake("--runs takes a number", names))?;
                }
                "--help" => return Err((0, help(names))),
                name => match names.iter().find(|known| **known == name) {
                    Some(known) => options.chosen.push(known),
                    None => return Err(mistake(&format!("there is no case {name}"), names)),
                },
            }
        }
        Ok(options)
    }
}

fn mistake(what: &str, names: &[&str]) -> (u8, String) {
    (2, format!("{what}\n{}", help(names)))
}

fn help(names: &[&str]) -> String {
    format!("failover [--runs N] [--long] [CASE]…, as root; the cases: {}", names.join(" "))
}

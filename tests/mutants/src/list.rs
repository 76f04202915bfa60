//! The mutants: what `cargo mutants` would try, one after the other.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A line and a column of a file, both from one.
pub(crate) type Place = (usize, usize);

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Genre {
    /// A function returns a fixed value.
    Function,
    /// An operator between two operands is another.
    Binary,
    /// An operator before one operand is left out.
    Unary,
    /// An arm of a `match` is left out.
    Arm,
    /// The guard of an arm is always true, or always false.
    Guard,
    /// A field of a struct is that of its base.
    Field,
}

/// One change of one place.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// As `cargo mutants` prints it.
    pub(crate) name: String,
    /// From the root of the checkout.
    pub(crate) file: String,
    pub(crate) genre: Genre,
    pub(crate) start: Place,
    pub(crate) end: Place,
    pub(crate) replacement: String,
}

/// Those of the checkout, narrowed by arguments of `cargo mutants`.
pub(crate) fn list(checkout: &Path, arguments: &[String]) -> Result<Vec<Mutant>, String> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list", "--json"]).args(arguments).current_dir(checkout);
    let output = command.output().map_err(|error| format!("cargo mutants: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo mutants: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let listed: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the answer of cargo mutants: {error}"))?;
    let listed = listed.as_array().ok_or("the answer of cargo mutants is no list")?;
    listed.iter().map(|one| read(one).ok_or(format!("an unknown mutant: {one}"))).collect()
}

fn read(one: &Value) -> Option<Mutant> {
    let text = |name: &str| Some(one.get(name)?.as_str()?.to_owned());
    let genre = match text("genre")?.as_str() {
        "FnValue" => Genre::Function,
        "BinaryOperator" => Genre::Binary,
        "UnaryOperator" => Genre::Unary,
        "MatchArm" => Genre::Arm,
        "MatchArmGuard" => Genre::Guard,
        "StructField" => Genre::Field,
        _ => return None,
    };
    Some(Mutant {
        name: text("name")?,
        file: text("file")?,
        genre,
        start: place(one.get("span")?.get("start")?)?,
        end: place(one.get("span")?.get("end")?)?,
        replacement: text("replacement")?,
    })
}

fn place(value: &Value) -> Option<Place> {
    let number = |name: &str| usize::try_from(value.get(name)?.as_u64()?).ok();
    Some((number("line")?, number("column")?))
}

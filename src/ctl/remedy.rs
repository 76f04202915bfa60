//! What to do about each thing of the cluster that needs a person: the agent says it.

use std::borrow::Cow;

use crate::text::clean;
use crate::wire::Finding;

/// About a machine that claims an IP and does not offer it.
pub(super) const STRANGER: &str = "find it by that address (the switch knows its port) and take the IP off it, or \
                                   delete the IP here and choose another";

/// What to do about it; an older agent does not say that.
pub(super) fn of(finding: &Finding) -> Cow<'static, str> {
    match finding.remedy.is_empty() {
        true => "linkctl show and linkctl events on that host tell more".into(),
        false => clean(&finding.remedy).into(),
    }
}

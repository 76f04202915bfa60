//! The story of a failure, for people.

use std::fmt::Write;

use crate::explore::Failure;
use crate::host::{Life, name};
use crate::world::World;

/// Lets happen what happens without a fault, always the first of what can, until nothing more does.
pub(crate) fn settle(mut world: World) -> World {
    for _ in 0..10_000 {
        let Some(step) = world.enabled().next().first().copied() else {
            return world;
        };
        world.happen(step);
    }
    panic!("the cluster does not come to rest");
}

/// Tells how a world came about, step by step.
pub(crate) fn tell(from: &World, failure: &Failure) -> String {
    let mut world = from.clone();
    world.state.faults_left = u8::MAX;
    let mut text = format!("{}\n{}\n", failure.why, describe(&world));
    for step in &failure.story {
        world.happen(*step);
        let _ = writeln!(text, "{step}");
        for (id, action) in &world.done {
            let _ = writeln!(text, "    {}: {action:?}", name(*id));
        }
    }
    text + &describe(&world)
}

fn describe(world: &World) -> String {
    let holder = world.holder();
    let lock = holder.map_or("free".to_owned(), |holder| {
        format!("{}'s, written at {}", holder.host, holder.written)
    });
    let mut text = format!("  the lock is {lock}\n");
    for id in world.ids() {
        let host = world.host(id);
        let (state, bound) = (host.core.state(), if host.bound { "has" } else { "has not" });
        let life =
            if host.life == Life::Runs { String::new() } else { format!(" ({:?})", host.life) };
        let _ = writeln!(
            text,
            "  {}{life} is {state}: {}; {bound} the IP",
            name(id),
            host.core.reason()
        );
    }
    text
}

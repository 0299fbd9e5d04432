//! A picture on a terminal that follows what happens.

use anyhow::bail;
use futures::StreamExt;

use super::{
    Goal,
    picture::{fit, frame},
    report::End,
    tree::picture,
    world::{World, look},
};
use crate::cli::{
    access::Session,
    terminal::{Ink, print, size},
};

/// How long the picture is kept up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It is drawn once.
    Drawn,
    /// The run ends.
    Ended,
}

/// Draws the picture, again after every change, to the end of the run.
///
/// # Errors
/// There is no such Deployment, or it cannot be watched any more.
pub async fn draw(session: &Session, goal: Goal<'_>, until: Until) -> anyhow::Result<End> {
    let (mut world, changes) = look(session, goal.name).await?;
    // What happens at once is drawn at once.
    let mut changes = std::pin::pin!(changes.ready_chunks(256));
    let mut lines = 0;
    while let Some(chunk) = changes.next().await {
        chunk.into_iter().try_for_each(|change| world.take(change))?;
        if !world.is_complete() {
            continue;
        }
        lines = draw_once(&world, lines)?;
        match (world.deployment.as_ref().and_then(|deployment| goal.end(deployment)), until) {
            (Some(end), _) => return Ok(end),
            (None, Until::Drawn) => return Ok(End::Well),
            (None, Until::Ended) => {}
        }
    }
    bail!("the watch of {} ended", goal.name)
}

fn draw_once(world: &World, before: usize) -> anyhow::Result<usize> {
    let (columns, rows) = size();
    let ink = Ink::of_stdout();
    let lines: Vec<_> = fit(picture(world), rows).iter().map(|line| line.render(ink, columns)).collect();
    print(&frame(before, &lines))?;
    Ok(lines.len())
}

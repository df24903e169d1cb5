//! Updates while packets come.
//!
//! A thread changes the list as fast as it can. Another one sends packets of those who are in every
//! list, and of others who are in none: whatever the list is at that moment, the verdict has to be
//! the same. As the kernel decides about a packet within the `write(2)` that sends it, each one's
//! verdict is known.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use dockgate::{
    lab::{Packet, Router},
    measure::Path,
};

use crate::{
    FAMILY, INWARD,
    hands::Hands,
    lists,
    support::{process::DOCKGATE, records::Exposure, session::Session, shapes::List, world::Result},
    tools::{Case, Change, IN_A_ROW, Tool},
};

/// So long are packets sent.
const TIME: Duration = Duration::from_secs(3);
/// So many of both kinds take turns.
const SENDERS: usize = 64;

/// One list against another one: all tools that can do that, and those that show that wrong verdicts
/// are counted.
pub fn run(session: &mut Session, case: Case, size: usize, tools: &[&Tool]) -> Result<()> {
    let time = if session.quick { TIME / 10 } else { TIME };
    let mut pair = lists(size, case.count(size));
    let half = size / 2;
    let stay: Vec<IpAddr> = pair[0].members[half..].iter().copied().take(SENDERS).collect();
    pair[1].members[half..half + stay.len()].clone_from_slice(&stay);
    let strangers = pair[1].others.clone();
    let title = format!("traffic, {}", case.name());
    println!("\n{:<45} {:>10} {:>12} {:>10} {:>8}", format!("{title}/{size}"), "updates/s", "packets/s", "packets", "wrong");
    let does = |tool: &&&Tool| tool.cases.contains(&case) && tool.name != IN_A_ROW;
    for tool in tools.iter().filter(|tool| does(tool) || (tool.flushes() && case == Case::Whole)) {
        let found = match expose(tool, case, &pair, [&stay, &strangers], time) {
            Ok(found) => found,
            Err(error) => {
                session.fail(&format!("{}: {error}", tool.name));
                continue;
            }
        };
        let Exposure { packets, wrong, updates, seconds } = found;
        println!("  {:<43} {:>10.1} {:>12.0} {packets:>10} {wrong:>8}", tool.name, updates / seconds, packets / seconds);
        session.note(tool.name, &title, size, found);
        if tool.flushes() && wrong == 0.0 {
            session.fail(&format!("{}: it takes two steps, and nothing wrong was counted: the counting is wrong", tool.name));
        }
        let own = tool.needs.is_none() || tool.needs == Some(DOCKGATE);
        if own && wrong > 0.0 {
            session.fail(&format!("{}: {wrong} packets met a wrong verdict", tool.name));
        }
    }
    Ok(())
}

fn expose(tool: &Tool, case: Case, pair: &[List; 2], [stay, strangers]: [&[IpAddr]; 2], time: Duration) -> Result<Exposure> {
    let mut path = Path::build(tool.name, INWARD)?;
    (tool.hold)(&mut path, &pair[0])?;
    let mut hands = Hands::new(path)?;
    let path = hands.path.clone();
    let count = case.count(pair[0].members.len());
    let mut update = |index: usize| {
        let (from, to) = (&pair[index % 2], &pair[1 - index % 2]);
        (tool.change)(&mut hands, &Change { case, to, removed: &from.members[..count], added: &to.members[..count] })
    };
    // To the other one and back: now it holds the first one by its own doing.
    update(0)?;
    update(1)?;
    let (packets, wrong, _) = send(&path, stay, strangers, Duration::from_millis(1))?;
    if wrong > 0.0 {
        return Err(format!("of {packets} packets {wrong} meet a wrong verdict while nothing is changed").into());
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let updates = scope.spawn(|| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                update(count).map_err(|error| error.to_string())?;
                // Which ends after the last packet is none of these.
                count += usize::from(!over.load(Ordering::Relaxed));
            }
            Ok::<usize, String>(count)
        });
        let sent = send(&path, stay, strangers, time);
        over.store(true, Ordering::Relaxed);
        let updates = updates.join().map_err(|_| "the updates panicked")??;
        let (packets, wrong, seconds) = sent?;
        Ok(Exposure { packets, wrong, updates: updates as f64, seconds })
    })
}

/// How many packets were sent, how many met a wrong verdict, in how many seconds.
fn send(path: &Path, stay: &[IpAddr], strangers: &[IpAddr], time: Duration) -> Result<(f64, f64, f64)> {
    let packet = |from: &IpAddr| Packet::udp((*from, 40_000).into(), (Router::receiver(FAMILY), 8080).into());
    let kinds: Vec<(Packet, bool)> =
        stay.iter().zip(strangers).flat_map(|(member, other)| [(packet(member), false), (packet(other), true)]).collect();
    let (mut packets, mut wrong, begin) = (0.0, 0.0, Instant::now());
    while begin.elapsed() < time {
        for (packet, passes) in &kinds {
            packets += 1.0;
            wrong += f64::from(path.passes(packet)? != *passes);
        }
    }
    Ok((packets, wrong, begin.elapsed().as_secs_f64()))
}

//! Policies without a kernel: read, compile, and the difference to what stands, by the number of
//! addresses in their one group. And the memory that a process takes at most which reads, compiles and
//! applies one, in a network namespace of its own.
//!
//! `cargo bench --bench policy`, or a part of it: `-- compile/100000`, `-- memory`; with `--test` or
//! `--quick` small sizes alone.

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "each benchmark takes a part of it")]
mod support;

use std::{
    env,
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
    time::Duration,
};

use dockgate::{
    compile::{self, Compiled},
    lab::{self, Userns},
    live::{self, History},
    marks::OwnTable,
    model::{ChainName, Family, Generation, Handle},
    netlink::Netlink,
    plan::{
        Plan,
        ours::{Ours, reconcile, reconcile_marks},
    },
    policy::{Policy, Strategy},
    rule::Reading,
    ruleset::{Chain, Entry, Ruleset},
    save::SavedRule,
};
use support::{
    experiment::{Contender, Experiment, timed},
    process,
    records::Memory,
    samples::Sample,
    session::{Session, finish},
    shapes::read,
    world::Result,
};

const STRATEGIES: [(&str, Strategy); 2] = [("dockgate tree", Strategy::Tree), ("dockgate set", Strategy::Set)];
/// Its name, the addresses, and who does it.
type Case = (&'static str, Family, fn(&str) -> Result<Vec<Contender<'static, ()>>>);

const CASES: [Case; 4] = [
    ("read", Family::Ip, reading),
    ("compile", Family::Ip, compiling),
    ("compile IPv6", Family::Ip6, compiling),
    ("nothing to do", Family::Ip, comparing),
];
/// Before a strategy and a size: the program is the one that is looked at.
const CHILD: &str = "--apply-one";

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [first, strategy, size] = &words[..]
        && first == CHILD
    {
        return child(strategy, size.parse()?);
    }
    let (mut session, mut memory) = (Session::open("policy"), Session::open("memory"));
    let sizes: &[usize] = if session.quick { &[100] } else { &[100, 1000, 10_000, 100_000] };
    for &size in sizes {
        for (case, family, contenders) in CASES {
            if session.wants(case, size) {
                run(&mut session, case, size, contenders(&text(size, family))?)?;
            }
        }
        if memory.wants("memory", size) {
            peaks(&mut memory, size)?;
        }
    }
    finish(&[session, memory])
}

/// Addresses all over, each once: the multiplier is odd.
fn text(size: usize, family: Family) -> String {
    let mut text =
        String::from("external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = ['80/tcp', '443/tcp']\nfrom = 'list'\n[groups]\nlist = [\n");
    for index in 0..size as u32 {
        let bits = index.wrapping_mul(2_654_435_761);
        let address: IpAddr = match family {
            Family::Ip => Ipv4Addr::from_bits(bits).into(),
            Family::Ip6 => Ipv6Addr::from_bits(u128::from(bits) << 88 | u128::from(!bits)).into(),
        };
        writeln!(text, "  '{address}',").expect("a string takes everything");
    }
    text + "]\n"
}

fn run(session: &mut Session, case: &str, size: usize, contenders: Vec<Contender<'_, ()>>) -> Result<()> {
    let experiment = Experiment::plain(case, Duration::from_secs(5), contenders);
    session.run(&mut (), size, experiment)
}

fn reading(text: &str) -> Result<Vec<Contender<'static, ()>>> {
    let text = text.to_owned();
    Ok(vec![Contender::new("dockgate", move |()| timed(|| read(&text)))])
}

/// So each strategy has its turn.
fn by_strategy(
    text: &str,
    make: impl Fn(Policy, Strategy) -> Box<dyn FnMut(&mut ()) -> Result<Sample>>,
) -> Result<Vec<Contender<'static, ()>>> {
    STRATEGIES.into_iter().map(|(name, strategy)| Ok(Contender::new(name, make(read(text)?, strategy)))).collect()
}

fn compiling(text: &str) -> Result<Vec<Contender<'static, ()>>> {
    by_strategy(text, |policy, strategy| Box::new(move |()| timed(|| Ok(compile::docker_user(&policy, "bench", Some(strategy))))))
}

fn comparing(text: &str) -> Result<Vec<Contender<'static, ()>>> {
    by_strategy(text, |policy, strategy| {
        let compiled = compile::docker_user(&policy, "bench", Some(strategy));
        let (ruleset, ours) = (applied(&compiled), Ours::desired(&compiled, Family::Ip));
        let own = OwnTable { deployed: ours.marks.clone(), trial: None };
        Box::new(move |()| {
            timed(|| {
                let (mut plan, mut changes) = (Plan::default(), Vec::new());
                reconcile_marks(Family::Ip, &own, compiled.table(Family::Ip), &mut plan);
                reconcile(&ruleset, &ours, &mut plan, &mut changes)?;
                if plan.is_empty() { Ok((plan, changes)) } else { Err(format!("there is something to do:\n{plan}").into()) }
            })
        })
    })
}

/// The table once the policy is applied.
fn applied(compiled: &Compiled) -> Ruleset {
    let family = Family::Ip;
    let entry = |(index, saved): (usize, &SavedRule)| Entry {
        handle: Handle(index as u64 + 2),
        counters: Some(saved.counters),
        reading: Reading::Rule(saved.rule.clone()),
        raw: None,
        userdata: None,
    };
    let chain = |name: ChainName, rules: &[SavedRule]| Chain {
        name,
        handle: Handle(1),
        hook: None,
        uses: 1,
        rules: Some(rules.iter().enumerate().map(entry).collect()),
    };
    let ours = Ours::desired(compiled, family);
    let mut chains: Vec<Chain> = ours.chains.iter().map(|saved| chain(saved.name.clone(), &saved.rules)).collect();
    chains.push(chain(ChainName::docker_user(), ours.jump.as_slice()));
    Ruleset { family, generation: Generation(1), chains, sets: Default::default() }
}

/// A process for each strategy.
fn peaks(session: &mut Session, size: usize) -> Result<()> {
    println!("\n{:<45} {:>10} {:>10}", format!("memory/{size}"), "compiled", "applied MB");
    for (name, strategy) in STRATEGIES {
        let word = if strategy == Strategy::Set { "set" } else { "tree" };
        let output = Command::new(env::current_exe()?).args([CHILD, word, &size.to_string()]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Option<Vec<f64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[compiled, applied]) if output.status.success() => {
                println!("  {name:<43} {:>10.1} {:>10.1}", compiled / 1e6, applied / 1e6);
                session.note(name, "memory", size, Memory { compiled, applied });
            }
            _ => session.fail(&format!("{name}: {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr))),
        }
    }
    Ok(())
}

/// Applies one, and prints how many bytes of memory it took at most to compile it, and in all.
fn child(strategy: &str, size: usize) -> Result<()> {
    lab::enter(Userns::WhenNeeded)?;
    let strategy = if strategy == "set" { Strategy::Set } else { Strategy::Tree };
    let compiled = compile::docker_user(&read(&text(size, Family::Ip))?, "bench", Some(strategy));
    let before = peak()?;
    let mut host = live::Host::new(Netlink::open()?, History::at(&process::state())?);
    let done = host.apply(&compiled)?;
    fs::remove_dir_all(process::folder())?;
    if done.plan.is_empty() {
        return Err("nothing was applied".into());
    }
    println!("{before} {}", peak()?);
    Ok(())
}

/// `VmHWM`, see proc(5).
fn peak() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(peak.ok_or("the kernel does not say VmHWM")?.parse::<f64>()? * 1024.0)
}

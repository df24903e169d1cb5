//! Writing a rule's expressions allocates nothing: neither for one kind of rule nor another. Reading one allocates
//! no more than what the rule keeps.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use dockgate::{
    extension::{Context, Listed, Sets},
    matches,
    message::{Batch, Place},
    model::{ChainName, Counters, Dialect, Family},
    rule::{Parser, Rule},
    save,
    syntax::{Outcome, split},
    targets,
};

/// The system's allocator, which counts what the calling thread asks of it.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: all is passed on to the system's allocator; a `Cell<usize>` without a destructor can be
// counted in at any time.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that `System` wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; the block came from `System`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; the block came from `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The rules of all examples that are taken, in both families.
fn rules() -> Vec<(Family, Rule)> {
    fn of<T>(list: &'static [Listed<T>]) -> impl Iterator<Item = (Family, Rule)> {
        let both = |one: &'static Listed<T>| one.families.iter().map(move |&family| (family, one));
        list.iter().flat_map(both).flat_map(|(family, one)| {
            let taken = one.examples.iter().filter(move |example| example.families.contains(&family));
            taken.filter(|example| matches!(example.outcome, Outcome::Saved(_))).flat_map(move |example| {
                let mut words = Vec::new();
                split(example.input, &mut words).unwrap();
                Parser::parse(&words, family).unwrap().rules.into_iter().map(move |rule| (family, rule))
            })
        })
    }
    of(matches::ALL).chain(of(targets::ALL)).collect()
}

#[test]
fn writing_a_rule_allocates_nothing_in_any_dialect() {
    let sets = Sets::new([(0, "office".into()), (1, "services".into())]);
    let chain = ChainName::docker_user();
    let rules = rules();
    assert!(rules.len() > 100, "only {} examples", rules.len());
    for dialect in Dialect::ALL {
        let mut batch = Batch::with_buffer(None, Vec::with_capacity(8 << 20));
        for (family, rule) in &rules {
            let context = Context { family: *family, dialect, sets: &sets };
            let before = COUNT.get();
            batch.rule(*family, &chain, Place::Last, rule.compat(), |writer| {
                rule.linearize(context, Counters::default(), writer).unwrap();
            });
            assert_eq!(COUNT.get() - before, 0, "{dialect:?}: {rule}");
        }
        let before = COUNT.get();
        batch.seal().unwrap();
        assert_eq!(COUNT.get() - before, 0);
    }
}

#[test]
fn allocations_are_counted() {
    let before = COUNT.get();
    drop(std::hint::black_box(vec![0_u8; 100]));
    assert_eq!(COUNT.get() - before, 1);
}

#[test]
fn a_rule_that_is_read_allocates_no_more_than_it_keeps() {
    let count = |line: &str, rules: usize| {
        let text = format!("*filter\n:DOCKER-USER - [0:0]\n{}COMMIT\n", format!("-A DOCKER-USER {line}\n").repeat(rules));
        let before = COUNT.get();
        let saved = save::read(&text, None, false).unwrap();
        assert_eq!(saved[0].chains[0].rules.len(), rules);
        COUNT.get() - before
    };
    for (line, each) in
        [("-s 10.1.2.3/32 -j DROP", 0), ("-i eth0 -d 10.0.0.0/8 -p tcp -j REJECT", 0), ("-p tcp -m tcp --dport 80 -j DROP", 1)]
    {
        // The list of all rules grows as well, seldom.
        let seldom = 3;
        let further = count(line, 2000) - count(line, 1000);
        assert!((each * 1000..=each * 1000 + seldom).contains(&further), "{line}: {further}");
    }
}

//! Writing a rule's expressions allocates nothing: neither for one kind of rule nor another.

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

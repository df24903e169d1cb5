#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dockgate_fuzz::never_crashes::expressions(bytes));

// What libFuzzer does to bytes breaks lengths most of the time; so every other change is one to a
// list of expressions that stays one.
libfuzzer_sys::fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match seed % 2 {
        0 => libfuzzer_sys::fuzzer_mutate(bytes, size, max_size),
        _ => dockgate_fuzz::mutate::list(bytes, size, max_size, seed),
    }
});

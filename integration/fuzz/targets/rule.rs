#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dockgate_fuzz::never_crashes::rule(bytes));

//! With a real dockerd, which is why these need root.

mod audit;
pub mod engine;
mod life;
pub mod need;
mod old;
mod open;
mod page;
mod writers;

/// Makes each function a test with the installed engine and one with Docker 28.
macro_rules! on_each_engine {
    ($($name:ident),+ $(,)?) => {
        mod installed { $(#[test] fn $name() { super::$name(crate::docker::engine::Version::Installed) })+ }
        mod docker28 { $(#[test] fn $name() { super::$name(crate::docker::engine::Version::Docker28) })+ }
    };
}
pub(crate) use on_each_engine;

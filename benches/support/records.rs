//! What was measured, kept for the report: `target/report/NAME.json`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use dockgate::measure::Cost;
use serde_json::{Map, Value, json};

/// One result: what was measured, and what was found.
#[derive(Debug, Clone)]
pub struct Record<N> {
    pub group: String,
    /// `ip` or `ip6`.
    pub family: String,
    /// One line in a plot.
    pub series: String,
    /// Which packets, or which work.
    pub case: String,
    /// Rules, or addresses.
    pub size: usize,
    pub found: N,
}

/// What is found: numbers, each with its name in the file.
pub trait Numbers: Sized {
    /// All of them.
    fn list(&self) -> Vec<(&'static str, f64)>;
    /// From numbers by their names; `None` if one is missing.
    fn read(of: impl Fn(&str) -> Option<f64>) -> Option<Self>;
}

/// Makes a struct of numbers, named as its fields.
macro_rules! numbers {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: f64,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name { $($(#[$doc])* pub $field: f64,)* }

        impl Numbers for $name {
            fn list(&self) -> Vec<(&'static str, f64)> {
                vec![$((stringify!($field), self.$field)),*]
            }
            fn read(of: impl Fn(&str) -> Option<f64>) -> Option<Self> {
                Some(Self { $($field: of(stringify!($field))?),* })
            }
        }
    )*};
}

numbers! {
    /// How long something takes, in nanoseconds, and beside something else in the same rounds.
    pub struct Latency {
        pub p50: f64,
        pub p90: f64,
        pub p99: f64,
        pub max: f64,
        /// The median of all rounds.
        pub ratio: f64,
        /// Half of the rounds are between this one …
        pub low: f64,
        /// … and this one.
        pub high: f64,
        pub runs: f64,
        pub rounds: f64,
    }

    /// Packets that came while rules were changed.
    pub struct Exposure {
        pub packets: f64,
        /// How many were dropped that should pass, or passed that should be dropped.
        pub wrong: f64,
        pub updates: f64,
        pub seconds: f64,
    }

    /// What a process takes at most, in bytes.
    pub struct Memory {
        /// Until a policy is compiled.
        pub compiled: f64,
        /// Until it is applied.
        pub applied: f64,
    }
}

impl Numbers for Cost {
    fn list(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("added", self.added),
            ("low", self.low),
            ("high", self.high),
            ("floor", self.floor),
            ("pairs", self.pairs as f64),
            ("packets", self.packets as f64),
        ]
    }

    fn read(of: impl Fn(&str) -> Option<f64>) -> Option<Self> {
        Some(Self {
            floor: of("floor")?,
            added: of("added")?,
            low: of("low")?,
            high: of("high")?,
            pairs: of("pairs")? as usize,
            packets: of("packets")? as usize,
        })
    }
}

/// The results of one benchmark program, by id; those of earlier runs stay until they are measured
/// again.
#[derive(Debug)]
pub struct Records {
    file: PathBuf,
    all: Map<String, Value>,
}

/// Where results and report are.
pub fn folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    target.join("report")
}

impl Records {
    /// Those of that program.
    pub fn open(program: &str) -> Self {
        let file = folder().join(format!("{program}.json"));
        let results = |mut all: Value| match all["results"].take() {
            Value::Object(results) => results,
            _ => Map::new(),
        };
        Self { all: load(&file).map_or_else(|_| Map::new(), results), file }
    }

    /// Notes a result, and writes all: whoever stops a long run keeps what it has.
    pub fn note<N: Numbers>(&mut self, id: String, record: &Record<N>) {
        let Record { group, family, series, case, size, found } = record;
        let mut result = json!({ "group": group, "family": family, "series": series, "case": case, "size": size });
        found.list().into_iter().for_each(|(name, number)| result[name] = number.into());
        self.all.insert(id, result);
        let text = format!("{:#}\n", json!({ "machine": machine(), "results": self.all }));
        let written = self.file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&self.file, text));
        if let Err(error) = written {
            println!("{}: {error}", self.file.display());
        }
    }
}

fn load(file: &Path) -> io::Result<Value> {
    let text = fs::read(file).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    Ok(serde_json::from_slice(&text)?)
}

/// What a program found, in the order in which it did, and on which machine.
///
/// # Errors
/// Those of reading; a result that is none.
pub fn read<N: Numbers>(file: &Path) -> io::Result<(String, Vec<Record<N>>)> {
    let all = load(file)?;
    let one = |value: &Value| {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Record {
            group: text("group")?,
            family: text("family")?,
            series: text("series")?,
            case: text("case")?,
            size: value["size"].as_u64()? as usize,
            found: N::read(|name| value[name].as_f64())?,
        })
    };
    let records: Option<Vec<_>> = all["results"].as_object().map(|results| results.values().map(one).collect()).unwrap_or_default();
    let machine = all["machine"].as_str().unwrap_or_default().to_owned();
    records.map(|records| (machine, records)).ok_or_else(|| io::Error::other(format!("{}: a result lacks something", file.display())))
}

/// What it was measured on: `2 × AMD EPYC 9B45 in a virtual machine, Linux 6.18.44`.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).map_or("?", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let virtual_machine = if cpus.contains("hypervisor") { " in a virtual machine" } else { "" };
    format!("{count} × {model}{virtual_machine}, Linux {}", kernel.trim())
}

//! What was measured, kept for the report: `target/report/NAME.json`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use dockgate::measure::Cost;
use serde_json::{Map, Value, json};

/// One result.
#[derive(Debug, Clone)]
pub struct Record {
    pub group: String,
    /// `ip` or `ip6`.
    pub family: String,
    /// One line in a plot.
    pub series: String,
    /// Which packets.
    pub case: String,
    /// Rules, or addresses.
    pub size: usize,
    pub cost: Cost,
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
    pub fn note(&mut self, id: String, record: &Record) {
        let Record { group, family, series, case, size, cost } = record;
        let result = json!({
            "group": group, "family": family, "series": series, "case": case, "size": size,
            "added": cost.added, "low": cost.low, "high": cost.high, "floor": cost.floor,
            "pairs": cost.pairs, "packets": cost.packets,
        });
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
pub fn read(file: &Path) -> io::Result<(String, Vec<Record>)> {
    let all = load(file)?;
    let one = |value: &Value| {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let number = |key: &str| value[key].as_f64();
        let count = |key: &str| value[key].as_u64().map(|count| count as usize);
        Some(Record {
            group: text("group")?,
            family: text("family")?,
            series: text("series")?,
            case: text("case")?,
            size: count("size")?,
            cost: Cost {
                floor: number("floor")?,
                added: number("added")?,
                low: number("low")?,
                high: number("high")?,
                pairs: count("pairs")?,
                packets: count("packets")?,
            },
        })
    };
    let records: Option<Vec<Record>> = all["results"].as_object().map(|results| results.values().map(one).collect()).unwrap_or_default();
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

//! Programs and what they did.

use std::{
    env, fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use dockgate::syntax::split;

use super::{LIMIT, output_within};

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// How it ended.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it said besides.
    pub err: String,
}

impl Done {
    /// What it printed; it must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }
}

/// Runs a program with the words of `line`, quoted as for iptables-restore, and `input`.
pub fn call(program: &str, line: &str, input: &str) -> Done {
    let mut words = Vec::new();
    split(line, &mut words).unwrap();
    let mut command = Command::new(program);
    command.args(words.iter().map(|word| word.text.as_ref()));
    finish(command, input)
}

/// Runs dockgate itself.
pub fn dockgate(line: &str, input: &str) -> Done {
    call(env!("CARGO_BIN_EXE_dockgate"), line, input)
}

/// Runs a command with `input` to its end.
pub fn finish(mut command: Command, input: &str) -> Done {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut stdin, what) = (child.stdin.take().unwrap(), format!("{command:?}"));
    let output = thread::scope(|scope| {
        // Whoever does not read it all has seen enough.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        output_within(child, LIMIT, &what)
    });
    Done { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Text without the lines that begin with `#`: those of `iptables-save` have the time in them.
pub fn uncommented(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// Compares with `fixtures/PATH`, byte by byte; `BLESS=1` writes it.
#[track_caller]
pub fn golden(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path);
    if env::var_os("BLESS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}; BLESS=1 writes it"));
    assert!(expected == text, "{path} is\n{expected}\nand should be\n{text}");
}

//! Files of policies and of groups that are none, or too large: said at once, whatever they are.

use std::{fs, io::Write as _, os::unix::net::UnixListener, path::Path, process::Command};

use dockgate::policy::{LIST_BYTES, POLICY_BYTES};

use crate::support::{Done, finish, run};

const POLICY: &str = "external = 'eth0'\ndefault = 'allow'\n[[rule]]\ndrop = 'any'\nfrom = 'banned'\n[groups]\n";

/// A policy's folder that goes with its test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Runs dockgate there; what takes longer than a minute is hanging, and ends with code 124.
    fn dockgate(&self, words: &[&str], input: &str) -> Done {
        let mut command = Command::new("timeout");
        command.arg("60").arg(env!("CARGO_BIN_EXE_dockgate")).args(words).current_dir(&self.0);
        finish(command, input)
    }

    /// `check` of a policy whose banned addresses are in that file.
    fn check_list(&self, file: &str) -> Done {
        self.write("policy.toml", &format!("{POLICY}banned = {{ file = '{file}' }}\n"));
        self.dockgate(&["check", "policy.toml"], "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let folder = Folder::new("no-files");
    run("mkfifo", folder.0.join("fifo").to_str().unwrap());
    let _socket = UnixListener::bind(folder.0.join("socket")).unwrap();
    fs::create_dir(folder.0.join("folder")).unwrap();
    for (name, what) in
        [("fifo", "a fifo"), ("socket", "a socket"), ("folder", "a folder"), ("/dev/zero", "a device"), ("/dev/tty", "a device")]
    {
        let done = folder.check_list(name);
        let said = format!("could not read `{name}`: it is {what}, not a file\nhint: write the addresses into a file\n");
        assert!(done.code == 2 && done.err.ends_with(&said), "{name}: {done:?}");
        if name != "folder" {
            let said = format!(
                "error: could not read `{name}`: it is {what}, not a file\nhint: what is not a file can come from standard input: `… | dockgate check -`\n"
            );
            let done = folder.dockgate(&["check", name], "");
            assert_eq!((done.err, done.code), (said, 2), "{name}");
        }
    }
    // Standard input is read as what it is only by `-`.
    folder.write("list.txt", "10.0.0.1\n");
    let policy = format!("{POLICY}banned = {{ file = 'list.txt' }}\n");
    assert_eq!(folder.dockgate(&["check", "-"], &policy).code, 0);
    assert!(folder.dockgate(&["check", "/dev/stdin"], &policy).err.contains("it is a fifo, not a file"));
}

#[test]
fn a_file_without_its_size_is_read_up_to_its_end() {
    let folder = Folder::new("proc-files");
    let done = folder.check_list("/proc/self/status");
    assert!(done.code == 2 && done.err.contains("  /proc/self/status:1  Name:"), "{done:?}");
}

#[test]
fn what_is_too_large_is_said_at_once() {
    let folder = Folder::new("large-files");
    for (name, bytes) in [("large.toml", POLICY_BYTES), ("large.txt", LIST_BYTES)] {
        fs::File::create(folder.0.join(name)).unwrap().set_len(bytes + 1).unwrap();
    }
    let done = folder.dockgate(&["check", "large.toml"], "");
    let said = "error: could not read `large.toml`: it has more than 4 MiB\n\
                hint: a long list of addresses goes into a file of its own: name = { file = \"list.txt\" }\n";
    assert_eq!((done.err.as_str(), done.code), (said, 2));
    let done = folder.check_list("large.txt");
    assert!(
        done.code == 2 && done.err.contains("could not read `large.txt`: it has more than 64 MiB\nhint: make it several groups"),
        "{done:?}"
    );
    let done = folder.dockgate(&["check", "-"], &"\n".repeat(POLICY_BYTES as usize + 1));
    assert!(done.code == 2 && done.err.starts_with("error: could not read `-`: it has more than 4 MiB\n"), "{done:?}");
}

#[test]
fn long_lists_are_read_and_of_their_mistakes_some_are_said() {
    let folder = Folder::new("long-lists");
    // What is empty takes no memory.
    folder.write("lines.txt", &"\n".repeat(4 << 20));
    let done = folder.check_list("lines.txt");
    assert!(done.code == 0 && done.err.contains("nobody is in this group"), "{done:?}");
    let mut list = fs::File::create(folder.0.join("wrong.txt")).unwrap();
    (0..100_000).for_each(|number| writeln!(list, "10.{}.{}.300", number % 256, number / 256).unwrap());
    let done = folder.check_list("wrong.txt");
    assert!(done.code == 2 && done.err.starts_with("error: 51 mistakes in the policy\n"), "{}", done.err);
    let done = folder.dockgate(&["check", "policy.toml", "--json"], "");
    assert!(done.out.contains("this and 9999 more lines can't be read either, and the rest was not looked at"), "{}", done.out);
    // Without any line.
    folder.write("one.txt", &"1.".repeat(1 << 20));
    let done = folder.check_list("one.txt");
    assert!(done.code == 2 && done.err.contains("this begins with 2097152 bytes without a blank") && done.err.len() < 2000, "{}", done.err);
}

/// Who may write behind his address in a list of banned addresses keeps nobody else out of it.
#[test]
fn what_strangers_write_behind_their_address_stops_no_check() {
    let folder = Folder::new("columns");
    let names = ["10.0.0.1", "7", "/bin/sh", "-root", "- 255.255.255.255", "::1", ",::", "\"a, b 1.1.1.1\"", "; 1.1.1.1"];
    let long = ["x".repeat(2000), "1.1.1.1".repeat(1 << 18), ";".repeat(1 << 20), " ;".repeat(1 << 20), "1.1.1.1,".repeat(1 << 18)];
    for name in names.into_iter().chain(long.iter().map(String::as_str)) {
        folder.write("banned.txt", &format!("192.0.2.66 {name}\n192.0.2.99 root\n"));
        let done = folder.check_list("banned.txt");
        assert!(done.code == 0 && done.err.len() < 1000, "{}: {}", &name[..name.len().min(20)], done.err);
    }
    for bytes in [&b"\0"[..], b"\xff\xfe", b"\x1b]0;x\x07 1.1.1.1", b"\x1b[2J1.1.1.1"] {
        fs::write(folder.0.join("banned.txt"), [b"192.0.2.66 ", bytes, b"\n192.0.2.99\n"].concat()).unwrap();
        let done = folder.check_list("banned.txt");
        assert!(done.code == 0 && !done.err.contains(['\u{1b}', '\0', '\u{7}']), "{done:?}");
    }
    // What is said of very many lines is said of some.
    folder.write("banned.txt", &"192.0.2.66 7\n".repeat(100_000));
    let done = folder.check_list("banned.txt");
    assert!(done.code == 0 && done.err.starts_with("warning: the policy holds, but 51 things may not be meant\n"), "{}", done.err);
}

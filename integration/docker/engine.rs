//! A real Docker engine in namespaces of its own, with an outside to reach it from.

use super::need::{docker28, require};
use crate::{
    iptables::Iptables,
    support::{LIMIT, Watchdog, output_within},
};
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// The host's addresses on `ext0`, the interface to the internet.
pub const HOST: &str = "192.168.1.10";
pub const HOST_TOO: &str = "192.168.1.11";
/// Addresses in the internet: one that is let in, one that isn't.
pub const FRIEND: &str = "192.168.1.1";
pub const STRANGER: &str = "192.168.1.2";
/// One in the internet that is not in `192.168.1.0/24`.
pub const FAR: &str = "10.9.0.1";
/// The host in the LAN behind the Docker host's `lan0`.
pub const LAN: &str = "10.7.0.2";

/// Long enough for a busy machine; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Version {
    /// The one that is installed.
    Installed,
    /// Docker 28 in a root file system of its own.
    Docker28,
    /// The one that is installed, with iptables 1.8.7 instead of the installed one.
    Iptables187,
}

/// A Docker host: the engine, its network, and the internet and a LAN beside it. All of it is gone
/// when this is dropped, or when the test's process ends in whatever way.
pub struct Engine {
    pub version: Version,
    arguments: String,
    root: PathBuf,
    /// A folder with programs that go before those of `root`.
    programs: Option<PathBuf>,
    cgroup: String,
    holder: Child,
    /// The first process inside, by which its namespaces are entered.
    pid: u32,
    commands: ChildStdin,
    said: Mutex<Receiver<String>>,
    watch: Option<Watchdog>,
}

impl Engine {
    /// A host on which dockerd was never started. None, and the test skipped, without an engine.
    pub fn host(version: Version, arguments: &str) -> Option<Self> {
        let (what, root) = match version {
            Version::Installed => ("docker", PathBuf::from("/")),
            Version::Docker28 => ("docker28", docker28()),
            Version::Iptables187 => ("docker", PathBuf::from("/")),
        };
        if !require(what) {
            return None;
        }
        let test = thread::current().name().unwrap_or("test").to_owned();
        let programs = match version {
            Version::Iptables187 => Some(Iptables::Old.programs(&test)??),
            _ => None,
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let cgroup = format!("dockgate-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/docker/engine.sh");
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "bash"])
            .arg(script)
            .arg(&root)
            .arg(format!("/{cgroup}"))
            .args(&programs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (commands, stdout) = (holder.stdin.take().unwrap(), holder.stdout.take().unwrap());
        let (sender, said) = mpsc::channel();
        thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut engine = Self {
            version,
            arguments: arguments.into(),
            root,
            programs,
            cgroup,
            holder,
            pid: 0,
            commands,
            said: Mutex::new(said),
            watch: None,
        };
        let line = engine.said.lock().unwrap().recv_timeout(PATIENCE).unwrap_or_else(|_| engine.failed("the host could not be made"));
        engine.pid = line.strip_prefix("ready ").and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        // Whatever a test waits for ends with the host.
        let pid = engine.pid.to_string();
        engine.watch = Some(Watchdog::new(LIMIT, move || drop(Command::new("kill").args(["-KILL", &pid]).status())));
        Some(engine)
    }

    /// A host with dockerd running and the image that `publish` needs.
    pub fn running(version: Version, arguments: &str) -> Option<Self> {
        let mut engine = Self::host(version, arguments)?;
        engine.start();
        engine.import();
        Some(engine)
    }

    /// Starts dockerd; returns when it answers.
    pub fn start(&mut self) {
        writeln!(self.commands, "start {}", self.arguments).unwrap();
        self.until("dockerd answers", |engine| engine.answers().unwrap_or(false));
    }

    /// Ends dockerd as an init system does.
    pub fn stop(&mut self) {
        self.end("stop");
    }

    /// Ends dockerd as a crash does.
    pub fn crash(&mut self) {
        self.end("kill");
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// The same with other arguments from now on.
    pub fn restart_with(&mut self, arguments: &str) {
        self.arguments = arguments.into();
        self.restart();
    }

    fn end(&mut self, verb: &str) {
        writeln!(self.commands, "{verb}").unwrap();
        let line = self.said.lock().unwrap().recv_timeout(PATIENCE).unwrap_or_else(|_| self.failed("dockerd does not end"));
        assert!(line.starts_with("exited"), "{line}");
    }

    /// Whether `GET /_ping` is answered with 200.
    fn answers(&self) -> std::io::Result<bool> {
        let mut stream = UnixStream::connect(self.path("run/dk.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.0 200"))
    }

    /// Waits until `done`, looking again at least 50 times a second and whenever dockerd ends.
    pub fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            match self.said.lock().unwrap().recv_timeout(Duration::from_millis(20)) {
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => self.failed(&format!("waited in vain: {what}")),
                Ok(line) => self.failed(&format!("waited: {what}; dockerd {line}")),
                Err(RecvTimeoutError::Disconnected) => self.failed(&format!("waited: {what}; the host is gone")),
            }
        }
    }

    /// Panics with what dockerd logged last.
    fn failed(&self, why: &str) -> ! {
        let log = fs::read_to_string(self.path("run/dk.log")).unwrap_or_default();
        let tail: Vec<_> = log.lines().rev().take(20).collect();
        panic!("{why}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }

    /// A file of the host as the test's process sees it.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(inside)
    }

    /// The network namespace of the host.
    pub fn netns_path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.pid).into()
    }

    /// A command with the host's network and the test's files.
    pub fn in_host(&self, program: &str) -> Command {
        within(&self.netns_path(), program)
    }

    /// A command in the network of `internet` or `lan`, with the test's files.
    pub fn beside(&self, outside: &str, program: &str) -> Command {
        within(&self.path("run/netns").join(outside), program)
    }

    /// A program of the engine's own file system, in the host's network: the `iptables` that this
    /// engine runs, which for another engine is of another version.
    pub fn own(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.pid)).args(["--net", "--mount", "chroot"]).arg(&self.root);
        match self.programs.as_ref().map(|folder| folder.join(program)).filter(|path| path.exists()) {
            Some(path) => command.arg(path),
            None => command.arg(program),
        };
        command
    }

    /// Runs the engine's own iptables; it must work.
    pub fn iptables(&self, words: &str) -> String {
        printed(self.own("iptables").args(words.split_whitespace()))
    }

    /// Whether the engine's own iptables takes these words.
    pub fn iptables_takes(&self, words: &str) -> bool {
        self.own("iptables").args(words.split_whitespace()).output().unwrap().status.success()
    }

    /// Runs dockgate on the host.
    pub fn dockgate(&self, words: &str) -> Output {
        self.dockgate_command(words).output().unwrap()
    }

    /// Runs dockgate on the host; it must work.
    pub fn gate(&self, words: &str) -> String {
        printed(&mut self.dockgate_command(words))
    }

    fn dockgate_command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockgate"));
        command.arg("--netns").arg(self.netns_path()).args(words.split_whitespace());
        command.env("DOCKGATE_STATE", self.path("run/dockgate"));
        command
    }

    /// Runs docker; it must work. What it printed, trimmed.
    pub fn docker(&self, words: &str) -> String {
        printed(self.client().args(words.split_whitespace())).trim().into()
    }

    /// Docker's client, speaking to this engine.
    pub fn client(&self) -> Command {
        let mut command = Command::new("docker");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("DOCKER_HOST", format!("unix://{}", self.path("run/dk.sock").display())).env("DOCKER_CONFIG", "/nonexistent");
        command
    }

    /// An image without a registry: busybox, and a folder to serve.
    pub fn import(&self) {
        let image = "mkdir -p $D/bin $D/www && cp /bin/busybox $D/bin && tar -C $D -c . | docker import - bb:1";
        let folder = self.path("run/image");
        let mut command = Command::new("sh");
        command.args(["-euc", image]).env("D", &folder).env("DOCKER_CONFIG", "/nonexistent");
        printed(command.env("DOCKER_HOST", format!("unix://{}", self.path("run/dk.sock").display())));
    }

    /// Runs a container whose web server, published on `host_port`, answers with the container's
    /// name. `options` go to `docker run`.
    pub fn publish(&self, name: &str, host_port: u16, container_port: u16, options: &str) {
        self.publish_on("", name, host_port, container_port, options);
    }

    /// The same on one address of the host's, written as `0.0.0.0:`.
    pub fn publish_on(&self, address: &str, name: &str, host_port: u16, container_port: u16, options: &str) {
        let serve = format!("echo {name} >/www/index.html; exec /bin/busybox httpd -f -p {container_port} -h /www");
        let publish = format!("{address}{host_port}:{container_port}");
        let mut command = self.client();
        command.args(["run", "--detach", "--stop-signal", "KILL", "--name", name, "--publish", &publish]);
        command.args(options.split_whitespace());
        printed(command.args(["bb:1", "/bin/busybox", "sh", "-c", &serve]));
        self.serves(name, host_port);
    }

    /// Waits until the container answers on the host itself, which no rule of `FORWARD` forbids.
    pub fn serves(&self, name: &str, host_port: u16) {
        let url = format!("http://127.0.0.1:{host_port}/");
        self.until(&format!("{name} serves"), |engine| body(curl(engine.in_host("curl"), &url)).as_deref() == Some(name));
    }

    /// The page at `url` for who has the address `from` in the internet; None if nothing comes back.
    pub fn http(&self, from: &str, url: &str) -> Option<String> {
        self.all_http(&[(from, url)]).remove(0)
    }

    /// The pages for all of these; asked for at the same time, since who is dropped waits.
    pub fn all_http(&self, asked: &[(&str, &str)]) -> Vec<Option<String>> {
        let ask = |(from, url): &(&str, &str)| {
            let mut command = self.beside("internet", "curl");
            command.args(["--interface", from]);
            curl(command, url)
        };
        let children: Vec<_> = asked.iter().map(ask).collect();
        children.into_iter().map(body).collect()
    }

    /// `iptables-save` of the engine's own version: the filter table, without comments and counters.
    pub fn saved(&self) -> Vec<String> {
        let all = printed(self.own("iptables-save").args(["-t", "filter"]));
        let uncounted = |line: &str| line.split_once(" [").map_or(line, |(chain, _)| chain).to_owned();
        all.lines().filter(|line| !line.starts_with('#')).map(uncounted).collect()
    }

    /// The rules of a chain as `iptables -S` prints them, without the line that makes the chain.
    pub fn rules(&self, chain: &str) -> Vec<String> {
        rules(&self.iptables(&format!("-S {chain}")), chain)
    }

    /// All that is not `DOCKER-USER`'s: the other chains of the filter table as iptables prints
    /// them, and Docker's chain as the kernel has it, with handles and counters.
    pub fn others(&self) -> String {
        let theirs = |line: &&String| !line.starts_with("-A DOCKER-USER ");
        let saved: Vec<_> = self.saved().iter().filter(theirs).cloned().collect();
        let chain = printed(self.own("nft").args(["--json", "--handle", "list", "chain", "ip", "filter", "DOCKER"]));
        format!("{}\n{chain}", saved.join("\n"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.watch = None;
        // The pid namespace dies with its first process, and that is over when `unshare` has ended.
        match self.pid {
            0 => drop(self.holder.kill()),
            pid => drop(Command::new("kill").args(["-KILL", &pid.to_string()]).status()),
        }
        let _ = self.holder.wait();
        let ours = |folder: PathBuf| folder.join(&self.cgroup);
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for group in hierarchies.chain(["/sys/fs/cgroup".into()]).map(ours).filter(|group| group.is_dir()) {
            remove_groups(&group);
        }
    }
}

/// Removes a cgroup and those below it. None has a process left.
fn remove_groups(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove_groups(&below.path());
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != ErrorKind::NotFound => eprintln!("{} stays: {error}", group.display()),
        _ => {}
    }
}

/// A command in a network namespace, with the test's files.
pub fn within(netns: &Path, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.display())).arg(program);
    command
}

/// What a command printed; it must work.
pub fn printed(command: &mut Command) -> String {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = output_within(child, LIMIT, &format!("{command:?}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

/// Of lines as `iptables -S` prints them the rules of one chain, without `-A CHAIN `.
pub fn rules(listed: &str, chain: &str) -> Vec<String> {
    let start = format!("-A {chain} ");
    listed.lines().filter_map(|line| line.strip_prefix(&start)).map(Into::into).collect()
}

/// Begins to fetch a page. Whose packets are dropped gives up after two seconds, in which TCP tries
/// twice; the connection is the kernel's work, only the page may have to wait for a busy machine.
fn curl(mut command: Command, url: &str) -> Child {
    command.args(["--silent", "--fail", "--globoff", "--noproxy", "*", "--connect-timeout", "2", "--max-time", "60", url]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The fetched page.
fn body(child: Child) -> Option<String> {
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().into())
}

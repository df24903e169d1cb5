use std::{
    fs,
    io::{self, Read as _},
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use super::{Policy, Read};

/// A file, and its text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// Its path, as messages name it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A policy that can't be read at all.
#[derive(Debug, thiserror::Error)]
#[error("could not read `{}`: {error}", path.display())]
pub struct LoadError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
    /// What to do about it, if it can be said.
    pub hint: Option<String>,
}

/// A file of a policy has at most so many bytes: enough for some 200,000 addresses. The reader of TOML takes up
/// to a hundred bytes of memory for each of them.
pub const POLICY_BYTES: u64 = 4 << 20;

/// The file of a group has at most so many bytes: enough for three million addresses.
pub const LIST_BYTES: u64 = 64 << 20;

impl File {
    /// A file of that name. A byte order mark at the beginning of the text is dropped.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Self { name: name.into(), text }
    }

    /// Reads a file of a policy; `-` is standard input.
    pub(super) fn read(path: &Path) -> Result<Self, LoadError> {
        let failed = |error, hint: Option<&str>| LoadError { path: path.to_owned(), error, hint: hint.map(str::to_owned) };
        let is_stdin = path == Path::new("-");
        let most = POLICY_BYTES;
        let bytes = if is_stdin { stdin().and_then(|file| all(file, most)) } else { open(path, most).and_then(|file| all(file, most)) };
        let bytes = bytes.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::FileTooLarge => Some("a long list of addresses goes into a file of its own: name = { file = \"list.txt\" }"),
                io::ErrorKind::InvalidInput => Some("what is not a file can come from standard input: `… | dockgate check -`"),
                _ => None,
            };
            failed(error, hint)
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            failed(io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8")), Some(cure_of_bytes(error.as_bytes())))
        })?;
        Ok(Self::new(if is_stdin { "stdin".to_owned() } else { path.display().to_string() }, text))
    }

    /// Reads the file of a group. What is not UTF-8 in it becomes U+FFFD: it may stand in a comment.
    pub(super) fn read_list(path: &Path) -> Result<Self, LoadError> {
        let bytes = open(path, LIST_BYTES).and_then(|file| all(file, LIST_BYTES)).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => Some("the name of a file is relative to the folder of the policy"),
                io::ErrorKind::FileTooLarge => Some("make it several groups, each with a file of its own"),
                io::ErrorKind::InvalidInput => Some("write the addresses into a file"),
                _ => None,
            };
            LoadError { path: path.to_owned(), error, hint: hint.map(str::to_owned) }
        })?;
        let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Ok(Self::new(path.display().to_string(), text))
    }
}

/// How to make UTF-8 of what is not.
fn cure_of_bytes(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16, so make UTF-8 of it: iconv -f UTF-16 -t UTF-8 FILE > POLICY",
        [0x1f, 0x8b, ..] => "it is compressed by gzip: gunzip < FILE > POLICY",
        _ => "save it as UTF-8, or if it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 FILE > POLICY",
    }
}

/// Opens a regular file that has at most so many bytes. Nothing else is opened: a fifo would wait for a writer,
/// and a device may do anything.
fn open(path: &Path, most: u64) -> io::Result<fs::File> {
    must_be_a_file(&fs::metadata(path)?, most)?;
    // It may have become another since, so that this does not wait either.
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    must_be_a_file(&file.metadata()?, most)?;
    Ok(file)
}

fn must_be_a_file(found: &fs::Metadata, most: u64) -> io::Result<()> {
    let kind = found.file_type();
    let other = match kind {
        _ if kind.is_file() => return if found.len() > most { Err(too_large(most)) } else { Ok(()) },
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a fifo",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {other}, not a file")))
}

fn too_large(most: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {} MiB", most >> 20))
}

/// All bytes, but not more than so many. Files in `/proc` do not say how many they have.
fn all(from: impl io::Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(most + 1).read_to_end(&mut bytes)?;
    if read as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// All that comes from standard input.
///
/// # Errors
/// If it can't be read; [`io::Stdin`] takes one that is closed for an empty text.
pub fn input() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stdin()?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn stdin() -> io::Result<fs::File> {
    Ok(rustix::stdio::stdin().as_fd().try_clone_to_owned()?.into())
}

impl Policy {
    /// Reads files in order; of a folder all that end in `.toml`, in the order of their names, but
    /// none whose name begins with a dot; `-` is standard input. The files of groups are looked for
    /// beside the file that names them. Only regular files are read, of [`POLICY_BYTES`] and [`LIST_BYTES`] at most.
    ///
    /// # Errors
    /// [`LoadError`] where a file can't be read. What is wrong in it stands in [`Read::problems`].
    pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Read, LoadError> {
        let mut files = Vec::new();
        for path in paths.iter().map(AsRef::as_ref) {
            if !path.is_dir() {
                files.push(File::read(path)?);
                continue;
            }
            let failed = |error| LoadError { path: path.to_owned(), error, hint: None };
            let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
            let mut within: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
            // Editors leave `.#policy.toml` and the like.
            within.retain(|path| {
                let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                !hidden && path.extension().is_some_and(|end| end == "toml")
            });
            within.sort();
            if within.is_empty() {
                return Err(failed(io::Error::new(io::ErrorKind::NotFound, "no file in it ends in .toml")));
            }
            for path in within {
                files.push(File::read(&path)?);
            }
        }
        Ok(Self::parse(files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_files_in_order() {
        let folder = std::env::temp_dir().join(format!("dockgate-policy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("20-b.toml", "default = \"allow\"\n[groups]\nlist = { file = \"list.txt\" }\n");
        write("10-a.toml", "\u{feff}external = \"eth0\"\r\n[[rule]]\r\ndrop = \"any\"\r\nfrom = \"list\"\r\n");
        write("list.txt", "\u{feff}10.0.0.1\r\n# no more\r\n::1");
        write(".#10-a.toml", "what an editor left");
        write("README", "no policy");
        let read = Policy::load(&[&folder]).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read.problems, []);
        let names: Vec<_> = read.policy.files.iter().map(|file| Path::new(&file.name).file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["10-a.toml", "20-b.toml", "list.txt"]);
        assert_eq!(read.policy.rules[0].place.line, 2);
        assert_eq!(read.policy.rules[0].from.as_ref().unwrap().addresses.into_iter().count(), 2);
        let error = Policy::load(&[&folder]).unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn no_files_are_an_empty_policy() {
        let read = Policy::parse(Vec::new());
        assert!(!read.is_sound() && read.problems.iter().all(|problem| problem.file < read.policy.files.len()));
    }
}

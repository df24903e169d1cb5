use std::{
    fs,
    io::{self, Read as _},
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
}

impl File {
    /// A file of that name. A byte order mark at the beginning of the text is dropped.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Self { name: name.into(), text }
    }

    /// Reads it; `-` is standard input.
    pub(super) fn read(path: &Path) -> Result<Self, LoadError> {
        let failed = |error| LoadError { path: path.to_owned(), error };
        let mut bytes = Vec::new();
        let name = if path == Path::new("-") {
            io::stdin().read_to_end(&mut bytes).map_err(failed)?;
            "stdin".to_owned()
        } else {
            bytes = fs::read(path).map_err(failed)?;
            path.display().to_string()
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            failed(io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8")))
        })?;
        Ok(Self::new(name, text))
    }
}

impl Policy {
    /// Reads files in order; of a folder all that end in `.toml`, in the order of their names, but
    /// none whose name begins with a dot; `-` is standard input. The files of groups are looked for
    /// beside the file that names them.
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
            let failed = |error| LoadError { path: path.to_owned(), error };
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

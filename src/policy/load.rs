use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Policy, Read};

/// A file, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// A file of that name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    fn read(path: &Path) -> Result<Self, LoadError> {
        let text = fs::read_to_string(path).map_err(|error| LoadError { path: path.to_owned(), error })?;
        Ok(Self::new(path.display().to_string(), text))
    }
}

impl Policy {
    /// Reads files in order; of a folder all that end in `.toml`, in the order of their names. The
    /// files of groups are looked for beside the file that names them.
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
            within.retain(|path| path.extension().is_some_and(|end| end == "toml"));
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

//! The files under version control, read once, so that the rules need no disk.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use crate::failure::{Failure, Result};

/// Folders that hold no source, for a tree without version control.
const NOT_SOURCE: [&str; 4] = [".git", "target", "data", "node_modules"];

/// One file of the tree.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: usize,
    /// Its content where that is UTF-8.
    pub(crate) text: Option<String>,
}

/// All files of the workspace, by path.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// The text of one file, where it exists and is text.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts()
            .find(|(name, _)| *name == path)
            .map(|(_, text)| text)
    }

    /// Path and text of every text file.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    /// Path and text of every Rust file.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| has_extension(path, "rs"))
    }
}

/// Whether `path` ends in `.extension`.
pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|it| it == extension)
}

/// Reads the tree under `root`: what git tracks or would add, else all but the folders of builds and data.
pub(crate) fn load(root: &Path) -> Result<Tree> {
    let mut paths = match listed_by_git(root) {
        Some(paths) => paths,
        None => walked(root, "")?,
    };
    paths.sort();
    paths.dedup();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let content = match fs::read(root.join(&path)) {
            Ok(content) => content,
            // Deleted or moved in the working copy; or a link to a folder.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {
                continue;
            }
            Err(error) => return Err(Failure::reading(&root.join(&path), error)),
        };
        files.push(File {
            path,
            bytes: content.len(),
            text: String::from_utf8(content).ok(),
        });
    }
    Ok(Tree { files })
}

/// None where there is no git, or where `root` is not the top of a repository.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    if !root.join(".git").exists() {
        return None;
    }
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let names = String::from_utf8(output.stdout).ok()?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    Some(names.map(str::to_owned).collect())
}

fn walked(root: &Path, folder: &str) -> Result<Vec<String>> {
    let here = root.join(folder);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&here).map_err(|error| Failure::reading(&here, error))? {
        let entry = entry.map_err(|error| Failure::reading(&here, error))?;
        let kind = entry
            .file_type()
            .map_err(|error| Failure::reading(&entry.path(), error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let slash = if folder.is_empty() { "" } else { "/" };
        let path = format!("{folder}{slash}{name}");
        if kind.is_dir() && !NOT_SOURCE.contains(&name.as_str()) {
            paths.extend(walked(root, &path)?);
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(paths)
}
